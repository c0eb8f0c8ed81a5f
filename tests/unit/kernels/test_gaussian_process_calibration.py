"""What the intervals of the Gaussian process are worth: points that the fit did not see, simulated survey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.bands import BANDS
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


@pytest.fixture(scope="module")
def held_out():
    """Of every point held out, one in five: whether the 95 % interval holds it, its object's median S/N, its predicted S/N."""
    table = pq.read_table(DATA / "plasticc" / "light_curves.parquet").to_pandas()
    table = table[table.object_id.isin(np.unique(table.object_id)[::EVERY])]
    offsets = np.r_[0, np.cumsum(table.groupby("object_id", sort=False).size().to_numpy())]
    curves = light_curves(offsets, table.mjd, table.passband, NJY * table.flux, NJY * table.flux_err)
    hidden = np.random.default_rng(0).integers(0, 5, len(curves.mjd)) == 0
    seen, rest = part(curves, ~hidden), part(curves, hidden)
    found = gp.posterior(seen, gp.fit(seen), rest.offsets, rest.mjd, WAVELENGTHS)
    rows = np.arange(len(rest.mjd)), rest.band
    mean, sd = found.mean[rows], np.hypot(found.sd[rows], rest.flux_err)
    snr = [np.median(np.abs(seen.flux[a:b] / seen.flux_err[a:b])) for a, b in zip(seen.offsets[:-1], seen.offsets[1:], strict=True)]
    fitted = np.isfinite(mean)
    covered = np.abs(rest.flux - mean)[fitted] < 1.96 * sd[fitted]
    return covered, np.repeat(snr, np.diff(rest.offsets))[fitted], np.abs(mean / rest.flux_err)[fitted]


def thirds(value: np.ndarray) -> np.ndarray:
    return np.digitize(value, np.quantile(value, [1 / 3, 2 / 3]))


def test_nineteen_in_twenty_hidden_points_lie_within_their_interval(held_out):
    covered, _, _ = held_out
    assert len(covered) > 5000 and 0.94 < covered.mean() < 0.97


def test_faint_objects_and_bright_ones_are_covered_alike(held_out):
    covered, snr, _ = held_out
    assert all(0.93 < covered[thirds(snr) == third].mean() < 0.97 for third in range(3))


def test_points_predicted_bright_are_covered_nearly_as_well_as_faint_ones(held_out):
    covered, _, predicted = held_out
    assert all(0.92 < covered[thirds(predicted) == third].mean() < 0.985 for third in range(3))
