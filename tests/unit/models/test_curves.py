from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprubin_spark.kernels.counter_random import keys
from deeprubin_spark.models.curves import GridCurves, PointCurves
from deeprubin_spark.models.inputs import FeatureRows, channels
from deeprubin_spark.models.points import MAX_POINTS, as_matrix, from_records, most_informative, of_matrix
from deeprubin_spark.schemas.packed_points import MODEL_RECORD

N = 40


def records(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """1 to 300 measurements of each of n objects, in no order."""
    rng = np.random.default_rng(seed)
    counts = np.linspace(1, 300, n).astype(int)
    made = np.zeros(counts.sum(), MODEL_RECORD)
    made["mjd"], made["band"] = rng.uniform(59000.0, 59500.0, len(made)), rng.integers(0, 6, len(made))
    made["flux_njy"], made["flux_err_njy"] = rng.normal(size=len(made)) * 1e4, rng.uniform(500.0, 2000.0, len(made))
    return made, np.concatenate(([0], np.cumsum(counts)))


@pytest.fixture(scope="module")
def rows() -> FeatureRows:
    rng = np.random.default_rng(1)
    time = np.tile(np.linspace(-20.0, 60.0, 64), (N, 1))
    mean, sd = rng.normal(size=(N, 3, 64)) * 1e4, rng.uniform(1e2, 1e3, size=(N, 3, 64))
    return FeatureRows(np.zeros((N, 2)), time, mean, sd, as_matrix(*records(N, 2)))


def test_points_survive_the_matrix_that_training_sets_hold():
    made, offsets = records(N, 3)
    expected = most_informative(from_records(made, offsets))
    found = of_matrix(as_matrix(made, offsets))
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    assert np.diff(found.offsets).max() == MAX_POINTS
    first = expected.mjd[expected.offsets[:-1]][expected.owner]
    np.testing.assert_allclose(found.mjd, expected.mjd - first, atol=2e-5)
    for name in ("wavelength", "flux", "flux_err"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6)
    np.testing.assert_array_equal(found.is_detection, expected.is_detection)


def test_an_object_without_points_has_none_after_the_matrix():
    assert of_matrix(as_matrix(np.zeros(0, MODEL_RECORD), np.zeros(3, np.int64))).offsets.tolist() == [0, 0, 0]


@pytest.mark.parametrize("curves", [GridCurves.of(3, 64, 1), PointCurves.of(1)])
def test_what_training_draws_follows_from_a_rows_key_alone(curves, rows):
    row_keys = keys(1, 0, np.arange(N))
    whole = curves.training(rows, row_keys)
    chosen = np.array([7, 3, 30])
    few = curves.training(rows.take(chosen), row_keys[chosen])
    n_points = few.hidden.shape[-1]
    torch.testing.assert_close(few.hidden, whole.hidden[chosen][..., :n_points])
    torch.testing.assert_close(few.mean, whole.mean[chosen][..., :n_points])
    other = curves.training(rows, keys(1, 1, np.arange(N)))
    assert not torch.equal(other.hidden, whole.hidden)


def test_the_network_does_not_see_what_it_has_to_rebuild(rows):
    made = GridCurves.of(3, 64, 1).training(rows, keys(1, 0, np.arange(N)))
    is_hidden = made.hidden[:, :1] > 0.0
    assert 0.3 < is_hidden.any(dim=2).float().mean() < 0.7
    assert made.curve[:, :6][is_hidden.expand(-1, 6, -1)].abs().max() == 0.0
    torch.testing.assert_close(made.curve[:, -1:], made.hidden[:, :1])
    np.testing.assert_allclose(made.mean.numpy(), channels(rows)[:, :3])
    of_points = PointCurves.of(1).training(rows, keys(1, 0, np.arange(N)))
    hidden = of_points.hidden > 0.0
    assert 0.1 < hidden[-1].float().mean() < 0.45 and of_points.curve.values[..., 0][hidden].abs().max() == 0.0


def test_curves_are_moved_to_both_sides_by_the_same_errors(rows):
    along, against = GridCurves.of(3, 64, 1).drawn(rows)
    np.testing.assert_allclose((0.5 * (along + against))[:, :3].numpy(), channels(rows)[:, :3], atol=1e-5)
    along, against = PointCurves.of(1).drawn(rows)
    assert along.values.shape == (N, MAX_POINTS, 7) and not torch.equal(along.flux, against.flux)
