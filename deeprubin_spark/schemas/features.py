"""What models read: feature values, the Gaussian process on a grid, and the points themselves.

Models read whole rows of numbers, so these are bytes that numpy takes as they are; the view `lightcurves` and the UDF `gp_interpolate` have them for SQL.
"""

from deeprubin_spark.kernels.feature_catalogue import FEATURES as LIGHT_CURVE_FEATURES
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.schemas.contract import Column, Table

FEATURE_SET = ZTF_GR.name
GRID_BANDS: tuple[str, ...] = ZTF_GR.bands
GRID_COLUMNS = ("grid_time", "grid_mean", "grid_sd")

FEATURES = Table(
    "features",
    doc="Features of the objects that a night touched, from points known by that night; formulas and sources are in features.md.",
    version=3,
    key=("survey", "object_id", "night", "feature_set"),
    partition_by=("survey", "night"),
    columns=(
        Column("survey", "string", doc="Survey that saw the object: 'ztf', 'plasticc', ...", required=True),
        Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
        Column("night", "date", doc="Observing night, by the survey's rule: no later point was used", required=True),
        Column("feature_set", "string", ucd="meta.version", doc="Name and version of the feature set", required=True),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000"),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000"),
        Column("status", "string", doc="ok, too_few_points, fit_failed or bad_input", required=True),
        Column("n_detections", "int", unit="1", doc="Detections known by that night (measurements, each exposure once)", required=True),
        Column("n_limits", "int", unit="1", doc="Upper limits known by that night", required=True),
        Column("rb_max", "float", unit="1", doc="Highest rb of the night's alerts"),
        Column("drb_max", "float", unit="1", doc="Highest drb of the night's alerts"),
        Column("ss_name", "string", doc="Known solar-system object nearest to an alert of the night"),
        Column("ss_distance", "float", unit="arcsec", doc="Its distance"),
        *(Column(f.name, "float", unit=f.unit, doc=f.doc) for f in LIGHT_CURVE_FEATURES),
        Column("t_ref_mjd", "double", unit="d", doc="Time zero of the grid: peak of the posterior mean, MJD UTC"),
        Column("grid_time", "binary", unit="d", doc="64 times relative to t_ref_mjd, float32 little-endian"),
        Column(
            "grid_mean", "binary", unit="nJy", doc="Posterior mean at those times: 64 float32 in g, then 64 in r; as arrays: gp_interpolate"
        ),
        Column("grid_sd", "binary", unit="nJy", doc="Posterior standard deviation, same order"),
        Column("points", "binary", doc="The latest 256 points known by that night, by time: records of 22 bytes, schemas/packed_points.py"),
    ),
)
