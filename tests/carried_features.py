"""Features of the carried light curves straight from their files, without tables: 18 ZTF objects in g and r, and 28 of PLAsTiCC in six bands."""

from __future__ import annotations

import numpy as np
import pandas as pd

from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR, FeatureSet
from deeprubin_spark.kernels.host_features import Hosts
from deeprubin_spark.kernels.light_curve_features import STATUS_NAMES, Extracted, extract
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.observations import Context, Observations
from deeprubin_spark.kernels.upper_limits import UpperLimits
from deeprubin_spark.models.inputs import FeatureRows, model_features
from deeprubin_spark.schemas.features import rule_of
from tests.conftest import DATA

SIX_BANDS = rule_of("plasticc").feature_set
FLUXCAL = 10.0 ** (0.4 * (31.4 - 27.5))


def in_two_bands() -> tuple[np.ndarray, Extracted]:
    """Ids and what `extract` makes of the real detections."""
    table = pd.read_csv(DATA / "ztf_histories" / "detections.csv").sort_values(["object_id", "mjd", "band"], kind="stable")
    ids, curves = _curves(table, np.array([band_index(band) for band in table["band"]]), table["flux_njy"], table["flux_err_njy"])
    return ids, extract(Observations.of_curves(curves), ZTF_GR)


def in_six_bands() -> tuple[np.ndarray, Extracted]:
    """Ids and what `extract` makes of the simulated fluxes, with their hosts."""
    points = pd.read_parquet(DATA / "plasticc_sample" / "lightcurves.parquet")
    points = points.assign(object_id=points["object_id"].astype(int).astype(str)).sort_values(
        ["object_id", "mjd", "passband"], kind="stable"
    )
    ids, curves = _curves(points, points["passband"], FLUXCAL * points["flux"], FLUXCAL * points["flux_err"])
    known = pd.read_parquet(DATA / "plasticc_sample" / "metadata.parquet").set_index("object_id").loc[[int(one) for one in ids]]
    photo_z = known["hostgal_photoz"].to_numpy(np.float64)
    photo_z = np.where(photo_z > 0.0, photo_z, np.nan)
    hosts = Hosts(photo_z, known["hostgal_photoz_err"].to_numpy(np.float64), known["mwebv"].to_numpy(np.float64))
    unknown = np.full(len(ids), np.nan)
    context = Context(known["ra"].to_numpy(np.float64), known["decl"].to_numpy(np.float64), unknown, unknown)
    return ids, extract(Observations(curves, UpperLimits.none(len(ids)), context, hosts=hosts), SIX_BANDS)


def as_read(found: Extracted, feature_set: FeatureSet) -> FeatureRows:
    """The fitted rows as a model reads them from a table, which holds float32."""
    place = [feature_set.names.index(name) for name in model_features(feature_set)]
    fitted = found.status == STATUS_NAMES.index("ok")
    arrays = (found.values[:, place], found.grid_time, found.grid_mean, found.grid_sd)
    values, time, mean, sd = (array[fitted].astype(np.float32) for array in arrays)
    return FeatureRows(values.astype(np.float64), time.astype(np.float64), mean, sd)


def _curves(table: pd.DataFrame, band: np.ndarray, flux: pd.Series, error: pd.Series) -> tuple[np.ndarray, LightCurves]:
    ids, first = np.unique(table["object_id"], return_index=True)
    columns = (table["mjd"], flux, error)
    mjd, flux_njy, error_njy = (np.asarray(column, np.float64) for column in columns)
    return ids, light_curves(np.append(first, len(table)), mjd, np.asarray(band, np.int8), flux_njy, error_njy)
