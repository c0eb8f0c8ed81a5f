"""Arrow batches cut between objects, and the pieces of each object in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deeprubin_spark.kernels.measurements import Versions
from deeprubin_spark.schemas.packed_points import Records

Batches = Iterable[pa.RecordBatch]


def whole_objects(batches: Batches, key: str) -> Batches:
    """The same rows, in batches that split no run of equal `key`: what is begun waits for the next batch."""
    waiting: pa.RecordBatch | None = None
    for batch in batches:
        if batch.num_rows == 0:
            continue
        if waiting is not None:
            batch = pa.concat_batches([waiting, batch])
        last = _begin_of_last_run(batch.column(key))
        waiting = batch.slice(last)
        if last:
            yield batch.slice(0, last)
    if waiting is not None:
        yield waiting


def by_object(transform: Callable[[pa.RecordBatch], pa.RecordBatch], key: str) -> Callable[[Batches], Batches]:
    """A `mapInArrow` function that gives `transform` batches of whole objects; the rows of an object must stand together."""

    def generate(batches: Batches) -> Batches:
        for batch in whole_objects(batches, key):
            yield transform(batch)

    return generate


def runs_of(columns: Sequence[pa.Array]) -> NDArray[np.int64]:
    """(B + 1,) int64: where the rows begin that differ from the one before in any of the columns, and the number of rows."""
    n_rows = len(columns[0])
    differs = np.zeros(max(n_rows - 1, 0), bool)
    for column in columns:
        differs |= pc.not_equal(column.slice(1), column.slice(0, n_rows - 1)).to_numpy(zero_copy_only=False).astype(bool)
    return np.concatenate(([0], np.flatnonzero(differs) + 1, [n_rows])).astype(np.int64) if n_rows else np.zeros(1, np.int64)


def versions(points: Records) -> Versions:
    """What the rule looks at of points (N,)."""
    return Versions(
        exposure=np.ascontiguousarray(points["exposure_mjd"]),
        band=np.ascontiguousarray(points["band"]),
        kind=np.ascontiguousarray(points["kind"]),
        source=np.ascontiguousarray(points["source_id"]),
        packet=np.ascontiguousarray(points["packet_id"]),
        known_night=np.ascontiguousarray(points["known_night"]),
        rb=points["rb"].astype(np.float64),
    )


def _begin_of_last_run(column: pa.Array) -> int:
    differs = pc.not_equal(column.slice(0, len(column) - 1), column[-1]).to_numpy(zero_copy_only=False)
    found = np.flatnonzero(differs)
    return int(found[-1]) + 1 if len(found) else 0
