"""The sky cut into patches that can be searched each for itself: every row goes to its own patch, and to those near whose border it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.sky import HEALPIX_ORDER, healpix
from deeprubin_spark.kernels.two_body import sky_positions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Batches = Iterable[pa.RecordBatch]


def patch(ra: FloatArray, dec: FloatArray, order: int) -> IntArray:
    """The patch of each position: HEALPix of this order, nested. ra, dec : (N,) [deg]. Returns (N,) int64."""
    return healpix(ra, dec) >> (2 * (HEALPIX_ORDER - order))


def with_borders(ra: FloatArray, dec: FloatArray, order: int, margin: float) -> tuple[IntArray, IntArray]:
    """Rows and patches (R,), (R,): each row in its own patch and in all that a circle of `margin` [deg] around it meets in one of eight directions."""
    centre = unit_vectors(ra, dec)
    level = np.maximum(np.hypot(centre[:, 0], centre[:, 1]), 1e-12)
    east = np.stack([-centre[:, 1], centre[:, 0], np.zeros_like(level)], axis=1) / level[:, None]
    north = np.cross(centre, east)
    angles = np.arange(8) * np.pi / 4.0
    around = (centre + np.tan(np.radians(margin)) * (np.cos(angle) * north + np.sin(angle) * east) for angle in angles)
    found = [patch(ra, dec, order), *(patch(*sky_positions(place), order) for place in around)]
    rows = np.tile(np.arange(len(centre)), len(found))
    # As one number each, which sorts much faster than pairs: a patch has 32 bits at the finest order.
    pairs = np.unique(rows << 32 | np.concatenate(found))
    return pairs >> 32, pairs & (2**32 - 1)


def by_group(search: Callable[[pa.Table], pa.RecordBatch], keys: list[str]) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """A `mapInArrow` function that gives `search` all rows of one value of `keys` at a time; such rows must lie in one partition, which is held whole."""

    def generate(batches: Batches) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        if not held:
            return
        table = pa.Table.from_batches(held).sort_by([(key, "ascending") for key in keys])
        if table.num_rows == 0:
            return
        differs = np.zeros(table.num_rows - 1, bool)
        for key in keys:
            column = table.column(key).combine_chunks()
            differs |= pc.not_equal(column.slice(1), column.slice(0, table.num_rows - 1)).to_numpy(zero_copy_only=False).astype(bool)
        bounds = np.concatenate(([0], np.flatnonzero(differs) + 1, [table.num_rows]))
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            yield search(table.slice(begin, end - begin))

    return generate
