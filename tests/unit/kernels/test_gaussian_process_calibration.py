"""What the intervals of the Gaussian process are worth: points that the fit did not see, simulated survey and real objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process as gp
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves

DATA = Path(__file__).parents[2] / "data"
WAVELENGTHS = np.array([band.wavelength for band in BANDS])
NJY = 10.0 ** ((31.4 - 27.5) / 2.5)  # PLAsTiCC's zero point is 27.5
EVERY = 8  # objects of the training set


def part(curves: LightCurves, keep: np.ndarray) -> LightCurves:
    owner = np.repeat(np.arange(curves.n_objects), np.diff(curves.offsets))
    counts = np.bincount(owner[keep], minlength=curves.n_objects)
    return LightCurves(np.r_[0, np.cumsum(counts)], curves.mjd[keep], curves.band[keep], curves.flux[keep], curves.flux_err[keep])


def predicted(curves: LightCurves, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each hidden point: whether its 95 % interval from the others holds it, its object's median S/N, its predicted S/N."""
    seen, rest = part(curves, ~hidden), part(curves, hidden)
    found = gp.posterior(seen, gp.fit(seen), rest.offsets, rest.mjd, WAVELENGTHS)
    rows = np.arange(len(rest.mjd)), rest.band
    mean, sd = found.mean[rows], np.hypot(found.sd[rows], rest.flux_err)
    snr = [np.median(np.abs(seen.flux[a:b] / seen.flux_err[a:b])) for a, b in zip(seen.offsets[:-1], seen.offsets[1:], strict=True)]
    assert np.isfinite(mean).all()
    return np.abs(rest.flux - mean) < 1.96 * sd, np.repeat(snr, np.diff(rest.offsets)), np.abs(mean / rest.flux_err)


@pytest.fixture(scope="module")
def simulated():
    """One point in five of every eighth object of PLAsTiCC."""
    table = pq.read_table(DATA / "plasticc" / "light_curves.parquet").to_pandas()
    table = table[table.object_id.isin(np.unique(table.object_id)[::EVERY])]
    offsets = np.r_[0, np.cumsum(table.groupby("object_id", sort=False).size().to_numpy())]
    curves = light_curves(offsets, table.mjd, table.passband, NJY * table.flux, NJY * table.flux_err)
    return predicted(curves, np.random.default_rng(0).integers(0, 5, len(curves.mjd)) == 0)


@pytest.fixture(scope="module")
def real():
    """Every point of 18 ZTF objects, each hidden once, a fifth of them at a time."""
    table = pd.read_csv(DATA / "ztf_histories" / "detections.csv")
    offsets = np.r_[0, np.cumsum(table.groupby("object_id", sort=False).size().to_numpy())]
    curves = light_curves(offsets, table.mjd, [band_index(band) for band in table.band], table.flux_njy, table.flux_err_njy)
    fold = np.random.default_rng(0).integers(0, 5, len(curves.mjd))
    return tuple(np.concatenate(columns) for columns in zip(*(predicted(curves, fold == f) for f in range(5)), strict=True))


def thirds(value: np.ndarray) -> np.ndarray:
    return np.digitize(value, np.quantile(value, [1 / 3, 2 / 3]))


def test_nineteen_in_twenty_hidden_points_lie_within_their_interval(simulated):
    covered, _, _ = simulated
    assert len(covered) > 5000 and 0.94 < covered.mean() < 0.97


def test_faint_objects_and_bright_ones_are_covered_alike(simulated):
    covered, snr, _ = simulated
    assert all(0.93 < covered[thirds(snr) == third].mean() < 0.97 for third in range(3))


def test_points_predicted_bright_are_covered_nearly_as_well_as_faint_ones(simulated):
    covered, _, predicted = simulated
    assert all(0.92 < covered[thirds(predicted) == third].mean() < 0.985 for third in range(3))


def test_real_objects_are_covered_at_least_as_well_as_the_intervals_say(real):
    """A little too well: where ZTF's points show no jitter, half of their residuals lie within 0.5 of their published error, not 0.67."""
    covered, snr, _ = real
    assert len(covered) == 868 and 0.94 < covered.mean() < 0.985
    assert all(covered[thirds(snr) == third].mean() > 0.93 for third in range(3))
