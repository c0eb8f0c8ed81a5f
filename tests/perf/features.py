"""The features of a light curve but for those that are models, and the statistics of points beside the light-curve package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import light_curve
import numpy as np

from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels import gaussian_process, light_curve_features
from deeprubin_spark.kernels.due_periods import N_COLUMNS, fill_period_features
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.light_curves import FloatArray, chosen_points
from deeprubin_spark.kernels.observations import History, Observations
from deeprubin_spark.kernels.variability import BAND_STATISTICS, fill_band_statistics
from tests.perf.clock import cheapest
from tests.perf.light_curves import by_band, repeated, standard_mix, tonight
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_OBJECTS, TIMES = 200, 10
# What `extract` calls for models, which have rows of their own.
_MODELS: tuple[tuple[ModuleType, str], ...] = (
    (gaussian_process, "fit"),
    (gaussian_process, "posterior_and_weights"),
    (light_curve_features, "fill_parametric_features"),
    (light_curve_features, "fill_period_features"),
)
# Our statistics of a band as the package has them, in the order of `BAND_STATISTICS`.
_THEIRS: dict[str, Any] = {
    "mean_flux": light_curve.Mean(),
    "amplitude": light_curve.Amplitude(),
    "standard_deviation": light_curve.StandardDeviation(),
    "median_absolute_deviation": light_curve.MedianAbsoluteDeviation(),
    "interpercentile_range": light_curve.InterPercentileRange(quantile=0.1),
    "percentile_ratio": light_curve.MagnitudePercentageRatio(quantile_numerator=0.4, quantile_denominator=0.05),
    "median_buffer": light_curve.MedianBufferRangePercentage(quantile=0.1),
    "skew": light_curve.Skew(),
    "kurtosis": light_curve.Kurtosis(),
    "anderson_darling": light_curve.AndersonDarlingNormal(),
    "cusum": light_curve.Cusum(),
    "beyond_1sd": light_curve.BeyondNStd(nstd=1),
    "von_neumann_eta": light_curve.Eta(),
    "eta_e": light_curve.EtaE(),
    "stetson_k": light_curve.StetsonK(),
    "maximum_slope": light_curve.MaximumSlope(),
    "linear_trend": light_curve.LinearTrend(),  # slope, its error, scatter
    "reduced_chi2": light_curve.ReducedChi2(),
    "excess_variance": light_curve.ExcessVariance(),
}
_SHARED = tuple(name for name in BAND_STATISTICS if name in _THEIRS)


def without_models(place: Workplace) -> Measured:
    """`extract` less the time inside its models."""
    batch = Observations.of_curves(repeated(standard_mix(N_OBJECTS), TIMES))
    light_curve_features.extract(batch)
    costs = []
    for _ in range(5):
        with _stopwatch(_MODELS) as inside:
            begin = time.process_time()
            light_curve_features.extract(batch)
            costs.append(time.process_time() - begin - sum(inside))
    return Measured(min(costs) / batch.curves.n_objects * 1e6, batch.curves.n_objects, accuracy={"features": len(ZTF_GR.features)})


def everything(place: Workplace) -> Measured:
    """`extract` with its models, as on a night on which each object has a new point."""
    curves, known_night = tonight(repeated(standard_mix(N_OBJECTS), TIMES))
    before = known_night < known_night.max()
    cached = np.empty((curves.n_objects, N_COLUMNS))
    fill_period_features(chosen_points(curves, before), known_night[before], None, cached, 0)
    alone = Observations.of_curves(curves)
    batch = Observations(curves, alone.limits, alone.context, History(known_night, cached))
    return Measured(cheapest(lambda: light_curve_features.extract(batch), curves.n_objects), curves.n_objects)


def shared(place: Workplace) -> Measured:
    """All statistics of points of g and r in one pass, beside an Extractor of those the package has too, one thread."""
    curves = standard_mix(N_OBJECTS)
    batch = repeated(curves, TIMES)
    bands = np.array([band_index("g"), band_index("r")], np.int8)
    values = np.full((batch.n_objects, 2 * len(BAND_STATISTICS)), np.nan)
    ours = cheapest(lambda: fill_band_statistics(batch, bands, values, 0), batch.n_objects, runs=7)
    extractor = light_curve.Extractor(*(_THEIRS[name] for name in _SHARED))
    bands_of = by_band(batch)

    def theirs() -> FloatArray:
        return extractor.many(bands_of, sorted=True, check=False, fill_value=np.nan, n_jobs=1)

    peer = cheapest(theirs, batch.n_objects)
    worst = _largest_difference(values.reshape(-1, len(BAND_STATISTICS)), np.asarray(theirs()), extractor.names)
    return Measured(ours, batch.n_objects, peer, {"largest relative difference": worst, "statistics shared": 2 * len(_SHARED)})


def _largest_difference(ours: FloatArray, theirs: FloatArray, names: list[str]) -> float:
    """Over all shared statistics of bands with enough points, relative to the value or, if that is more, a thousandth of its usual size."""
    worst = 0.0
    for name in _SHARED:
        own, other = ours[:, BAND_STATISTICS.index(name)], theirs[:, names.index(_THEIRS[name].names[0])]
        both = np.isfinite(own) & np.isfinite(other)
        size = np.maximum(np.abs(other[both]), 1e-3 * np.median(np.abs(other[both])))
        worst = max(worst, float(np.max(np.abs(own[both] - other[both]) / size)))
    return worst


@contextmanager
def _stopwatch(functions: tuple[tuple[ModuleType, str], ...]) -> Iterator[list[float]]:
    """CPU seconds inside each of the functions when called in the block; calls within calls count once."""
    spent: list[float] = []
    inside: list[str] = []

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            inside.append(name)
            begin = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                inside.pop()
                if not inside:
                    spent.append(time.process_time() - begin)

        return call

    with ExitStack() as stack:
        for module, name in functions:
            stack.enter_context(mock.patch.object(module, name, timed(name, getattr(module, name))))
        yield spent


ROWS = (
    Row("features", "features without Gaussian process, parametric models and period", "object", without_models, "", 20.0),
    Row(
        "point_statistics",
        f"of these, {2 * len(BAND_STATISTICS)} statistics of points",
        "object",
        shared,
        "light-curve",
        None,
        2.0,
        most={"largest relative difference": 1e-4},
    ),
    Row("features_and_models", "a light curve on a night: features, Gaussian process, models, period where due", "object", everything),
)
