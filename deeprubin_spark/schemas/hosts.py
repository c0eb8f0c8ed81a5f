"""What a classifier may know about an object's place: its host galaxy's photometric redshift, and the dust of our Galaxy."""

from deeprubin_spark.schemas.contract import Column, Table

# A photometric redshift of 0, as PLAsTiCC gives its Galactic objects, is none at all: a row with photo_z NULL says that no host was found, which tells
# Galactic from extragalactic; an object without a row has not been looked for.
HOSTS = Table(
    "hosts",
    doc="Host galaxy and Galactic dust at an object's place; never the object's own redshift, which only a spectrum or the simulation knows.",
    version=1,
    key=("survey", "object_id"),
    partition_by=("survey",),
    columns=(
        Column("survey", "string", doc="Survey that saw the object: 'plasticc', 'spcc', ...", required=True),
        Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
        Column("source", "string", doc="Who says so: 'plasticc', 'spcc', 'elasticc', ...", required=True),
        Column(
            "photo_z", "double", unit="1", ucd="src.redshift.phot", doc="Photometric redshift of the host galaxy; NULL: no host, the Galaxy"
        ),
        Column("photo_z_err", "double", unit="1", ucd="stat.error;src.redshift.phot", doc="1-sigma error of photo_z"),
        Column("ebv", "double", unit="mag", ucd="phot.color.excess", doc="E(B-V) of our Galaxy's dust in that direction"),
    ),
    checks={"a redshift or none": "photo_z IS NULL OR photo_z > 0", "an error or none": "photo_z_err IS NULL OR photo_z_err >= 0"},
)
