"""Real and simulated light curves for the kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.kernels.light_curves import LightCurves, latest_points, light_curves

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="session")
def plasticc() -> LightCurves:
    """28 light curves of all 14 classes, g and r."""
    return _plasticc([1, 2])


@pytest.fixture(scope="session")
def plasticc_six_bands() -> LightCurves:
    """Seven of the same objects in u to y: the latest 120 points of each."""
    every = _plasticc([0, 1, 2, 3, 4, 5])
    chosen = np.flatnonzero(np.isin(np.repeat(np.arange(every.n_objects), np.diff(every.offsets)), np.arange(0, every.n_objects, 4)))
    offsets = np.r_[0, np.cumsum(np.diff(every.offsets)[::4])]
    return latest_points(LightCurves(offsets, every.mjd[chosen], every.band[chosen], every.flux[chosen], every.flux_err[chosen]), 120)


def _plasticc(bands: list[int]) -> LightCurves:
    table = pq.read_table(DATA / "plasticc_sample" / "lightcurves.parquet").to_pandas()
    table = table[table.passband.isin(bands)]
    counts = table.groupby("object_id", sort=False).size().to_numpy()
    return light_curves(np.r_[0, np.cumsum(counts)], table.mjd, table.passband, table.flux, table.flux_err)
