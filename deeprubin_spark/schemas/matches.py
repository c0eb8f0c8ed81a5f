"""What of a night lies at the place of an object that others know to be strange."""

from deeprubin_spark.schemas.contract import Column, Table

CATALOGUE_MATCHES = Table(
    "catalogue_matches",
    doc="Objects of a night within 3 arcsec of an entry of the bundled catalogues of strange objects. A match says where, never what: no class or rank "
    "depends on it.",
    version=1,
    key=("survey", "night", "object_id", "catalogue", "name"),
    partition_by=("survey", "night"),
    columns=(
        Column("survey", "string", doc="Survey that saw the object: 'ztf', ...", required=True),
        Column("night", "date", doc="Observing night, by the survey's rule", required=True),
        Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000", required=True),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000", required=True),
        Column("catalogue", "string", doc="SNAD, TDE, 3HSP, symbiotic or cataclysmic (searches/data/README.md)", required=True),
        Column("name", "string", ucd="meta.id.assoc", doc="Name of the entry in it", required=True),
        Column("type", "string", ucd="src.class", doc="What the catalogue calls it: not a class of the taxonomy", required=True),
        Column(
            "separation_arcsec",
            "double",
            unit="arcsec",
            ucd="pos.angDistance",
            doc="From the entry's place, motion not counted",
            required=True,
        ),
        Column(
            "status",
            "string",
            doc="match; ambiguous where the object has several entries of the catalogue within the radius, or the entry several of the night's objects",
            required=True,
        ),
        Column("n_entries", "int", unit="1", doc="Entries of the catalogue within the radius of the object", required=True),
        Column("n_objects", "int", unit="1", doc="Objects of the night within the radius of the entry", required=True),
    ),
    checks={
        "near": "separation_arcsec BETWEEN 0 AND 3",
        "one of each or ambiguous": "(status = 'match') = (n_entries = 1 AND n_objects = 1)",
    },
)
