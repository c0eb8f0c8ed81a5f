"""What people say of the night's anomalies, and the order that follows from it."""

from deeprubin_spark.schemas.contract import Column, Table

ANOMALY, NOT_ANOMALY = "anomaly", "not_anomaly"

_SURVEY = Column("survey", "string", doc="Survey that saw the object: 'ztf', ...", required=True)
_OBJECT_ID = Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True)

FEEDBACK = Table(
    "feedback",
    doc="Votes of people on ranked anomalies; a voter's second vote on an object replaces the first.",
    version=1,
    key=("survey", "object_id", "voter"),
    columns=(
        _SURVEY,
        _OBJECT_ID,
        Column("voter", "string", doc="Who voted", required=True),
        Column("night", "date", doc="Night in whose anomalies the voter saw the object", required=True),
        Column("vote", "string", doc="anomaly or not_anomaly", required=True),
        Column("voted_at", "timestamp", doc="When, UTC", required=True),
        Column("note", "string", doc="The voter's own words"),
    ),
    checks={"a vote": f"vote IN ('{ANOMALY}', '{NOT_ANOMALY}')"},
)

ANOMALY_RANKS = Table(
    "anomaly_ranks",
    doc="The first anomalies of a night in the order that people's votes ask for.",
    version=1,
    key=("survey", "object_id", "night", "model_version"),
    partition_by=("survey", "night"),
    columns=(
        _SURVEY,
        _OBJECT_ID,
        Column("night", "date", doc="Observing night, by the survey's rule", required=True),
        Column("model_version", "string", ucd="meta.version", doc="Published model whose anomalies these are", required=True),
        Column("static_rank", "int", unit="1", doc="Rank in `anomalies`, which knows of no vote", required=True),
        Column("active_rank", "int", unit="1", doc="Rank after the votes; the static one where there are none", required=True),
        Column("active_score", "float", unit="1", doc="Score that orders them, higher first; NULL without votes"),
        Column(
            "vote", "string", doc="What most voters said of the object: anomaly or not_anomaly; NULL where nobody did, or as many as not"
        ),
        Column("n_votes", "int", unit="1", doc="Objects with a vote that the order was made from", required=True),
    ),
    checks={"a score by votes": "(n_votes = 0) = (active_score IS NULL)", "a rank": "active_rank >= 1 AND static_rank >= 1"},
)
