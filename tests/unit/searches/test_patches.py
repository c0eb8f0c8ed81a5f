"""Patches of the sky: every neighbour within the margin meets in some patch, and each row has one home."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from deeprubin_spark.kernels.two_body import sky_positions
from deeprubin_spark.searches.patches import by_group, patch, with_borders


def test_two_places_within_the_margin_share_the_home_patch_of_each():
    rng = np.random.default_rng(1)
    start = rng.normal(size=(3000, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    other = start + np.tan(np.radians(0.35)) * np.cross(start, rng.normal(size=(3000, 3))) / 3.0
    one, two = sky_positions(start), sky_positions(other)
    near = np.degrees(np.linalg.norm(other / np.linalg.norm(other, axis=1, keepdims=True) - start, axis=1)) < 0.4
    rows, number = with_borders(*two, 4, 0.5)
    reached = {(int(row), int(n)) for row, n in zip(rows, number, strict=True)}
    home = patch(*one, 4)
    shared = np.array([(k, int(home[k])) in reached for k in range(3000)])
    assert near.sum() > 1000
    assert shared[near].mean() > 0.999


def test_every_row_is_in_its_home_once():
    ra, dec = np.array([10.0, 200.0, 0.0, 45.0]), np.array([-5.0, 89.9, -90.0, 41.8])
    rows, number = with_borders(ra, dec, 3, 2.0)
    assert len(set(zip(rows.tolist(), number.tolist(), strict=True))) == len(rows)
    for k, home in enumerate(patch(ra, dec, 3)):
        assert np.sum((rows == k) & (number == home)) == 1


def test_groups_are_whole_whatever_the_batches():
    rows = pa.table({"night": [1, 2, 1, 2, 2], "patch": [7, 7, 7, 8, 7], "value": [1, 2, 3, 4, 5]})
    seen = []

    def search(part):
        seen.append((part["night"][0].as_py(), part["patch"][0].as_py(), sorted(part["value"].to_pylist())))
        return part.to_batches()[0]

    list(by_group(search, ["night", "patch"])(rows.to_batches(max_chunksize=2)))
    assert seen == [(1, 7, [1, 3]), (2, 7, [2, 5]), (2, 8, [4])]
    assert list(by_group(search, ["night"])([])) == []
