"""What others say an object is: labels with their source and date."""

from deeprubin_spark.schemas.contract import Column, Table

LABELS = Table(
    "labels",
    doc="Label of an object by a source on a date.",
    version=1,
    key=("survey", "object_id", "source", "labelled_on"),
    columns=(
        Column("survey", "string", doc="Survey whose object is labelled", required=True),
        Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
        Column(
            "source",
            "string",
            doc="Who says so: 'plasticc_truth', 'spcc_spectroscopic', 'alerce:<classifier>:<version>', ...",
            required=True,
        ),
        Column("labelled_on", "date", doc="Day on which the label was made or fetched", required=True),
        Column("label", "string", doc="Label in the source's own words", required=True),
        Column("class", "string", doc="Class of our taxonomy it maps to; NULL where none fits"),
        Column("probability", "double", unit="1", ucd="stat.probability", doc="The source's own probability; NULL for a statement of fact"),
    ),
    checks={"probability": "probability IS NULL OR probability BETWEEN 0 AND 1"},
)
