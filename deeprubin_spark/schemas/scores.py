"""What the night's objects are, and how unusual they are."""

from deeprubin_spark.schemas.contract import Column, Table

_KEY = (
    Column("survey", "string", doc="Survey that saw the object: 'ztf', ...", required=True),
    Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
    Column("night", "date", doc="Observing night, by the survey's rule", required=True),
    Column("model_version", "string", ucd="meta.version", doc="Published model that scored it", required=True),
)

SCORES = Table(
    "scores",
    doc="Class probabilities of the objects that a night touched.",
    version=3,
    key=("survey", "object_id", "night", "model_version"),
    partition_by=("survey", "night"),
    columns=(
        *_KEY,
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000"),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000"),
        Column("status", "string", doc="scored or abstained", required=True),
        Column(
            "reason", "string", doc="Why it abstained: too_few_points, outside_training_range, known_asteroid, bogus, fit_failed, bad_input"
        ),
        Column("class", "string", doc="Most probable class of the taxonomy"),
        Column("p_class", "float", unit="1", ucd="stat.probability", doc="Probability of `class`"),
        Column("p_transient", "float", unit="1", ucd="stat.probability", doc="Sum over the transient classes"),
        Column("p_stochastic", "float", unit="1", ucd="stat.probability", doc="Sum over the stochastic classes"),
        Column("p_periodic", "float", unit="1", ucd="stat.probability", doc="Sum over the periodic classes"),
        Column("probabilities", "map<string,float>", unit="1", doc="Probability of each class; they sum to 1"),
        Column(
            "night_probabilities",
            "map<string,float>",
            unit="1",
            doc="The same for the class shares of this night's objects, estimated without labels, in place of the training set's; NULL where too few "
            "objects were scored to tell",
        ),
        Column(
            "aleatoric",
            "float",
            unit="nat",
            doc="Entropy that stays whatever the network's weights: classes that look alike, errors of measurement",
        ),
        Column(
            "epistemic",
            "float",
            unit="nat",
            doc="How far network and trees are apart, and draws of the network's weights: what more training data could remove",
        ),
        Column(
            "class_set",
            "array<string>",
            doc="Classes that cannot be excluded; holds the true one in 90 % of cases, on a sky like the training set",
        ),
        Column(
            "calibration_bin",
            "int",
            unit="1",
            doc="Bin of p_class, 1 the least sure; bins of equally many objects that did not train the network",
        ),
        Column("bin_accuracy", "float", unit="1", ucd="stat.probability", doc="Share of those objects in the bin whose class was right"),
        Column("n_detections", "int", unit="1", doc="Detections known on that night"),
    ),
    checks={"probability": "p_class IS NULL OR p_class BETWEEN 0 AND 1", "scored or why not": "(status = 'scored') = (reason IS NULL)"},
)

ANOMALIES = Table(
    "anomalies",
    doc="How unusual the objects are that a night touched.",
    version=2,
    key=("survey", "object_id", "night", "model_version"),
    partition_by=("survey", "night"),
    columns=(
        *_KEY,
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000"),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000"),
        Column("status", "string", doc="ranked or gated", required=True),
        Column("reason", "string", doc="Gates it failed, comma-separated: bogus, known_asteroid, too_few_detections, no_features"),
        Column("score", "float", unit="1", doc="Weighted mean of -log10 of the chances of the seven components below among usual objects"),
        Column(
            "false_alarm_rate",
            "float",
            unit="1",
            ucd="stat.probability",
            doc="Share of usual objects with such a score or a higher one; below one over their number, which the model's manifest tells, extrapolated",
        ),
        Column("rank", "int", unit="1", doc="1 is the oddest of the night"),
        Column("disagreement", "float", unit="nat", doc="What draws of the network's weights disagree about"),
        Column("divergence", "float", unit="nat", doc="How far the network and the trees are apart"),
        Column("latent_density", "float", unit="nat", doc="-ln p(z | nearest class), z from the network's last hidden layer"),
        Column("latent_isolation", "float", unit="1", doc="Lowest isolation-forest score in z among the forests of the classes"),
        Column("feature_isolation", "float", unit="1", doc="Isolation-forest score of the features among usual objects, 0 usual to 1 odd"),
        Column(
            "forecast", "float", unit="nat", doc="Mean surprise of a point from those before it, under its error and the Gaussian process"
        ),
        Column(
            "s_phys",
            "float",
            unit="1",
            doc="Lowest BIC of the physical models less that of the Gaussian process: positive where none explains it",
        ),
        Column("best_model", "string", doc="The physical model of that BIC"),
        Column("entropy", "float", unit="nat", doc="Of the class probabilities; not part of the score"),
        Column("most_telling", "string", doc="Component of the lowest chance among usual objects"),
        Column("nearest_class", "string", doc="Class whose objects it is most like in z"),
        Column(
            "nearest_objects",
            "array<struct>",
            fields=(
                Column("object_id", "string", doc="Object that trained the model"),
                Column("class", "string", doc="Its class"),
                Column("distance", "float", unit="1", doc="Distance in z, in standard deviations within a class"),
            ),
            doc="Known objects it is most like, nearest first; where false_alarm_rate is below 0.1",
        ),
        Column(
            "contributions",
            "array<struct>",
            fields=(
                Column("feature", "string", doc="Feature name, as in `features`"),
                Column("value", "float", doc="Its value for this object"),
                Column("share", "float", unit="1", doc="Its share of feature_isolation"),
            ),
            doc="The features that isolate it, most important first",
        ),
        Column("explanation", "string", doc="The reason in a sentence"),
    ),
    checks={"ranked or why not": "(status = 'ranked') = (reason IS NULL)"},
)
