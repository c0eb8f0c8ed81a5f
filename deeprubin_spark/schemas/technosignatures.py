"""Stars that a test for technosignatures finds odd: candidates only, each with what explains it first and what would refute it."""

from deeprubin_spark.kernels.star_tests import CHANCES
from deeprubin_spark.schemas.contract import Column, Table

TESTS = (*CHANCES, "vanish")


def _chance(name: str, doc: str) -> Column:
    return Column(name, "double", unit="1", ucd="stat.probability", doc=doc)


_MATCHED = (
    Column("star", "string", ucd="meta.id.assoc", doc="Nearest star of the catalogue within 3 arcsec: its name, or Gaia's source_id"),
    Column("star_separation", "double", unit="arcsec", ucd="pos.angDistance", doc="From it, its motion to the night's date counted"),
    Column("distance_pc", "double", unit="pc", ucd="pos.distance", doc="Its distance"),
    Column("distance_err_pc", "double", unit="pc", ucd="stat.error;pos.distance", doc="1-sigma error; 1 % where the catalogue has none"),
)
_ELLIPSOID = (
    _chance("p_ellipsoid", "That a time within the star's light curve is as near to a crossing by chance; 1 beyond 3 sigma; all events"),
    Column("ellipsoid_event", "string", doc="Event whose SETI Ellipsoid crosses the star nearest to event_mjd"),
    Column("ellipsoid_mjd", "double", unit="d", ucd="time.epoch", doc="When it does"),
    Column("ellipsoid_mjd_err", "double", unit="d", ucd="stat.error", doc="1-sigma error, from both distances"),
    Column("ell_z", "double", unit="1", doc="(event_mjd - ellipsoid_mjd) over that error and 30 d for an answer, in quadrature"),
)
_ZONE = (
    _chance("p_transit_zone", "That a day of the year is as near to opposition by chance; stars that see Earth before the Sun only"),
    Column("opposition_days", "double", unit="d", doc="From the star's opposition to event_mjd"),
)
_DIP = (
    _chance("p_dip", "That nights exchanged at random put the low ones into so few stretches"),
    Column("dip_depth", "double", unit="1", doc="Of the deepest point under the band's median, in the larger of scatter and error"),
    Column("dip_fraction", "double", unit="1", doc="1 - F / F_reference of it"),
    Column("dip_asymmetry", "double", unit="1", doc="Area before the deepest point less that after it, over both"),
    Column("dip_duty", "double", unit="1", doc="Share of low nights"),
    Column("dip_nights", "int", unit="1", doc="Low nights"),
)
_COLOUR = (
    _chance("p_achromatic", "That dust fits the light missing in g and r so badly; 1 where something opaque does not fit either"),
    Column("achromatic_log_ratio", "double", unit="1", doc="ln L of something opaque less ln L of dust"),
    Column("achromatic_nights", "int", unit="1", doc="Nights on which light is missing in both bands"),
)
_LEVELS = (
    _chance("p_levels", "Bound on the chance of so much better a fit by two to four levels than by brightness that passes all between"),
    Column("n_levels", "int", unit="1", doc="Levels of the band that has p_levels"),
)
_INTERVALS = (
    _chance("p_intervals", "That as many bright nights drawn from those observed follow a series as closely"),
    Column("interval_series", "string", doc="The series: equal, primes or fibonacci"),
)
_VANISH = (
    Column("is_gone", "boolean", doc="At least 90 % of the reference star's light is missing, on three nights, in two bands and at last"),
    Column("gone_nights", "int", unit="1", doc="Nights on which it is"),
    Column("gone_fraction", "double", unit="1", doc="Median share missing on those"),
)

_PHYSICAL = (
    Column(
        "s_phys",
        "double",
        unit="1",
        doc="Lowest BIC of the physical models less that of the Gaussian process: positive where none explains it",
    ),
    Column("best_model", "string", doc="The physical model of that BIC; what odd stars are by it alone, anomalies ranks"),
)

TECHNOSIGNATURE_CANDIDATES = Table(
    "technosignature_candidates",
    doc="Stars of a night that a test for technosignatures finds odd. Candidates by chance probabilities, never detections: natural explanations "
    "are not excluded.",
    version=1,
    key=("survey", "object_id", "night"),
    partition_by=("survey", "night"),
    columns=(
        Column("survey", "string", doc="Survey that saw the star: 'ztf', ...", required=True),
        Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
        Column("night", "date", doc="Observing night, by the survey's rule: no later point was used", required=True),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000", required=True),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000", required=True),
        Column("status", "string", doc="candidate, set_aside or gated", required=True),
        Column("reason", "string", doc="Why it is none, comma-separated: bogus, known_asteroid (gated); period, known_class (set aside)"),
        Column(
            "rank", "int", unit="1", doc="1 is the candidate of the night with the lowest rate of false alarms, then the lowest p_combined"
        ),
        Column("best_test", "string", doc=f"Test that finds it oddest: {', '.join(TESTS)}", required=True),
        _chance("p_best", "The chance by that test; NULL of vanish, which has none"),
        Column("n_tests", "int", unit="1", doc="Tests that could be made of it and have a chance", required=True),
        _chance(
            "p_combined", "That the lowest of so many independent chances is as low: 1 - (1 - p)^n (Sidak 1967); NULL where n_tests is 0"
        ),
        Column(
            "false_alarms_per_10k_stars",
            "double",
            unit="1",
            doc="Of 10,000 of the night's stars whose nights are exchanged at random, those at least as odd by best_test: 10^4 (k + 1) / (n_stars + 1). "
            "Exchange leaves colours and levels as they are: there it counts the night's own stars, and is an upper limit. NULL of gated ones",
        ),
        Column("n_stars", "long", unit="1", doc="Stars of the night that this rate is from", required=True),
        Column("natural_explanation", "string", doc="What explains it first", required=True),
        Column("would_refute", "string", doc="What would show that it is not artificial", required=True),
        Column("event_mjd", "double", unit="d", ucd="time.epoch", doc="Night of the greatest deviation from the reference, MJD UTC"),
        Column("n_nights", "int", unit="1", doc="Nights with a detection or an upper limit", required=True),
        Column("star_score", "float", unit="1", doc="Star (1) or galaxy (0) score of the nearest PS1 source"),
        *_MATCHED,
        *_ELLIPSOID,
        *_ZONE,
        *_DIP,
        *_COLOUR,
        *_LEVELS,
        *_INTERVALS,
        *_VANISH,
        *_PHYSICAL,
        Column(
            "period",
            "double",
            unit="d",
            ucd="time.period",
            doc="Period found in `features`, where its false-alarm probability is below 10^-6",
        ),
        Column("class", "string", doc="Most probable class of the newest model in `scores`, where it was scored"),
        Column("p_class", "float", unit="1", ucd="stat.probability", doc="Its probability"),
    ),
    checks={
        "candidate or why not": "(status = 'candidate') = (reason IS NULL)",
        "candidates are ranked": "(status = 'candidate') = (rank IS NOT NULL)",
        "probability": "p_combined IS NULL OR p_combined BETWEEN 0 AND 1",
    },
)
