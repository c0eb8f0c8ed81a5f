"""The contract: one module per Delta table, and the taxonomy of classes."""

from deeprubin_spark.schemas.alerts import ALERTS_ZTF, CUTOUTS
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.features import FEATURES, FEATURES_LSST
from deeprubin_spark.schemas.feedback import ANOMALY_RANKS, FEEDBACK
from deeprubin_spark.schemas.habitability import (
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_NEARBY,
    HABITABILITY_RATE,
    HABITABILITY_RING,
)
from deeprubin_spark.schemas.hosts import HOSTS
from deeprubin_spark.schemas.labels import LABELS
from deeprubin_spark.schemas.lightcurves import LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS, LIGHTCURVES
from deeprubin_spark.schemas.matches import CATALOGUE_MATCHES
from deeprubin_spark.schemas.models import MODELS
from deeprubin_spark.schemas.moving import INTERSTELLAR_CANDIDATES, TRACKLETS
from deeprubin_spark.schemas.quarantine import QUARANTINE
from deeprubin_spark.schemas.runs import RUNS
from deeprubin_spark.schemas.scores import ANOMALIES, SCORES
from deeprubin_spark.schemas.technosignatures import TECHNOSIGNATURE_CANDIDATES

# Every table of the warehouse, in the order in which the night fills them. LIGHTCURVES is a view, so it is not here.
TABLES: tuple[Table, ...] = (
    ALERTS_ZTF,
    CUTOUTS,
    QUARANTINE,
    LIGHTCURVE_SEGMENTS,
    LIGHTCURVE_BASE,
    FEATURES,
    FEATURES_LSST,
    HOSTS,
    LABELS,
    MODELS,
    SCORES,
    ANOMALIES,
    FEEDBACK,
    ANOMALY_RANKS,
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_RATE,
    HABITABILITY_RING,
    HABITABILITY_NEARBY,
    TRACKLETS,
    INTERSTELLAR_CANDIDATES,
    TECHNOSIGNATURE_CANDIDATES,
    CATALOGUE_MATCHES,
    RUNS,
)

__all__ = [
    "ALERTS_ZTF",
    "ANOMALIES",
    "ANOMALY_RANKS",
    "CATALOGUE_MATCHES",
    "CUTOUTS",
    "FEATURES",
    "FEATURES_LSST",
    "FEEDBACK",
    "HABITABILITY_EVENT",
    "HABITABILITY_HEALPIX",
    "HABITABILITY_NEARBY",
    "HABITABILITY_RATE",
    "HABITABILITY_RING",
    "HOSTS",
    "INTERSTELLAR_CANDIDATES",
    "LABELS",
    "LIGHTCURVES",
    "LIGHTCURVE_BASE",
    "LIGHTCURVE_SEGMENTS",
    "MODELS",
    "QUARANTINE",
    "RUNS",
    "SCORES",
    "TABLES",
    "TECHNOSIGNATURE_CANDIDATES",
    "TRACKLETS",
    "Column",
    "Table",
]
