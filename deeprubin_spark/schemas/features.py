"""What models read: feature values, the Gaussian process on a grid, and the points themselves.

Models read whole rows of numbers, so these are bytes that numpy takes as they are; the view `lightcurves` and the UDF `gp_interpolate` have them for SQL.
"""

from __future__ import annotations

from typing import NamedTuple

from deeprubin_spark.kernels.feature_catalogue import LSST_UGRIZY, ZTF_GR, FeatureSet
from deeprubin_spark.kernels.measurements import DETECTION, FORCED
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.packed_points import REFERENCES

FEATURE_SET = ZTF_GR.name
GRID_BANDS: tuple[str, ...] = ZTF_GR.bands
GRID_COLUMNS = ("grid_time", "grid_mean", "grid_sd")


def _table(name: str, doc: str, version: int, feature_set: FeatureSet) -> Table:
    """The table of a feature set: another set has other columns, so it has a table of its own."""
    in_bands = ", then ".join(f"64 float32 in {b}" if i == 0 else f"64 in {b}" for i, b in enumerate(feature_set.bands))
    return Table(
        name,
        doc=doc,
        version=version,
        key=("survey", "object_id", "night", "feature_set"),
        partition_by=("survey", "night"),
        columns=_columns(feature_set, in_bands),
    )


def _columns(feature_set: FeatureSet, in_bands: str) -> tuple[Column, ...]:
    return (
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
        *REFERENCES.values(),
        *(Column(f.name, "float", unit=f.unit, doc=f.doc) for f in feature_set.features),
        Column("t_ref_mjd", "double", unit="d", doc="Time zero of the grid: peak of the posterior mean, MJD UTC"),
        Column("grid_time", "binary", unit="d", doc="64 times relative to t_ref_mjd, float32 little-endian"),
        Column("grid_mean", "binary", unit="nJy", doc=f"Posterior mean at those times: {in_bands}"),
        Column("grid_sd", "binary", unit="nJy", doc="Posterior standard deviation, same order"),
        Column("points", "binary", doc="The latest 256 points known by that night, by time: records of 22 bytes, schemas/packed_points.py"),
    )


FEATURES = _table(
    "features",
    "Features of the objects that a night touched, from points known by that night; formulas and sources are in features.md. "
    "gp_interpolate gives the grid as arrays.",
    4,
    ZTF_GR,
)
FEATURES_LSST = _table(
    "features_lsst",
    "The same of surveys in six bands; formulas and sources are in features_lsst.md.",
    2,
    LSST_UGRIZY,
)


class Rule(NamedTuple):
    """How a survey's light curves become features: the table and its set, and the kinds of points that are measurements."""

    table: Table
    feature_set: FeatureSet
    measured: tuple[int, ...]

    @property
    def contract(self) -> dict[str, int]:
        """What a model that reads these features must have been made for: name of the feature set -> version of the table."""
        return {self.feature_set.name: self.table.version}


# An archive of alerts tells of forced photometry only in part; a survey that measures every visit tells faint fluxes by it.
_OF_ALERTS = Rule(FEATURES, ZTF_GR, (DETECTION,))
_OF_VISITS = Rule(FEATURES_LSST, LSST_UGRIZY, (DETECTION, FORCED))
SIX_BAND_SURVEYS = (  # or some of the six
    "lsst",
    "plasticc",
    "plasticc_parts",
    "spcc",
    "spcc_inductive",
    "spcc_transductive",
    "elasticc",
    "sdss_labelled",
    "external_lsst",
)
RULES = (_OF_ALERTS, _OF_VISITS)


def rule_of(survey: str) -> Rule:
    """Simulations of LSST and LSST itself in six bands, all else in two."""
    return _OF_VISITS if survey in SIX_BAND_SURVEYS else _OF_ALERTS
