"""Compile what a night calls into numba's cache, once: else every process of the first night, and of the first tests, does it for itself.

    python infra/compile_kernels.py

A few made-up light curves go through features, models and tests of stars, and one carried packet through the decoder.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from deeprubin_spark.ingestion.decode import Decoder
from deeprubin_spark.ingestion.reading import one_packet
from deeprubin_spark.kernels import star_tests
from deeprubin_spark.kernels.feature_catalogue import FEATURE_SETS, FeatureSet
from deeprubin_spark.kernels.light_curve_features import extract
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.observations import Context, History, Observations
from deeprubin_spark.kernels.period_search import PERIOD_FEATURES
from deeprubin_spark.kernels.upper_limits import UpperLimits
from deeprubin_spark.models import published
from deeprubin_spark.models.inputs import FeatureRows, model_features
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.searches.technosignatures import bright_events

ARCHIVE = Path(__file__).parents[1] / "tests" / "data" / "ztf" / "archive" / "ztf_public_20190619.tar.gz"
N_OBJECTS, N_POINTS = 4, 48


def main() -> None:
    """All of it."""
    decoder = Decoder(None)
    with tarfile.open(ARCHIVE) as archive:
        packet = next(archive.extractfile(member) for member in archive if member.isfile())
        assert packet is not None
        for _ in decoder.containers(one_packet(packet.read(), "first.avro", 0)):
            pass
        decoder.flush()
    for survey in ("ztf", "lsst"):
        contract = rule_of(survey).contract
        model = published.load(published.find("", contract), contract)
        rows = _rows(model.feature_set)
        model.anomaly(model.judge(rows), rows.values)
    curves = _curves(FEATURE_SETS["ztf_gr_2"])
    nothing = np.full(N_OBJECTS, np.nan)
    stars = star_tests.Stars(
        *(nothing, nothing, np.ones(N_OBJECTS)),
        distance=nothing,
        distance_err=nothing,
        reference=np.full((N_OBJECTS, 6), 1e6),
        key=np.arange(N_OBJECTS, dtype=np.uint64),
        looked=curves.mjd,
        looked_offsets=curves.offsets,
    )
    star_tests.tested(curves, np.ones(len(curves.mjd), np.bool_), stars, bright_events())


def _curves(feature_set: FeatureSet) -> LightCurves:
    """Bumps and a sinusoid, half of each, in the set's bands in turn."""
    rng = np.random.default_rng(1)
    n = N_OBJECTS * N_POINTS
    mjd = np.sort(rng.uniform(58_000.0, 58_100.0, (N_OBJECTS, N_POINTS)), axis=1).ravel()
    wave = np.sin(mjd / 1.7) * (np.arange(n) // N_POINTS % 2)
    flux = 1e4 * (wave + np.exp(-0.5 * ((mjd - 58_050.0) / 10.0) ** 2)) + 100.0 * rng.normal(size=n)
    band = feature_set.band_indices[np.arange(n) % len(feature_set.bands)]
    return light_curves(np.arange(N_OBJECTS + 1) * N_POINTS, mjd, band, flux, np.full(n, 100.0))


def _rows(feature_set: FeatureSet) -> FeatureRows:
    curves = _curves(feature_set)
    known = np.repeat(np.arange(N_POINTS, dtype=np.int32)[None], N_OBJECTS, axis=0).ravel()
    history = History(known, np.full((N_OBJECTS, len(PERIOD_FEATURES) + 1), np.nan))
    made = extract(Observations(curves, UpperLimits.none(N_OBJECTS), Context.unknown(N_OBJECTS), history), feature_set)
    values = made.values[:, [feature_set.names.index(name) for name in model_features(feature_set)]]
    return FeatureRows(values, made.grid_time, made.grid_mean, made.grid_sd)


if __name__ == "__main__":
    main()
