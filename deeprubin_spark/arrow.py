"""List columns to flat numpy values with offsets, and back: the only place that knows Arrow's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Column = Any  # pa.Array or pa.ChunkedArray, which come without types


def floats(column: Column) -> NDArray[np.float64]:
    """A numeric column as (N,) float64, NULL as NaN."""
    flat = _one_chunk(column)
    return np.asarray(pc.cast(flat, pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def longs(column: Column, missing: int) -> NDArray[np.int64]:
    """An integer column as (N,) int64, NULL as `missing`."""
    return np.asarray(pc.fill_null(_one_chunk(column), missing).to_numpy(zero_copy_only=False), np.int64)


def days(column: Column) -> NDArray[np.int32]:
    """A date column without NULL as (N,) int32 days since 1970."""
    return np.asarray(_one_chunk(column).view(pa.int32()).to_numpy(zero_copy_only=False), np.int32)


def nullable(values: NDArray[np.floating], dtype: pa.DataType) -> pa.Array:
    """(N,) floats as an Arrow column of `dtype`, everything that is not finite as NULL."""
    values = np.asarray(values, np.float64)
    return pa.array(values, pa.float64(), mask=~np.isfinite(values)).cast(dtype, safe=False)


def offsets(column: Column) -> NDArray[np.int64]:
    """(B + 1,) int64: list i of the column holds rows offsets[i] to offsets[i + 1] of `records`; a NULL list is an empty one."""
    lengths = pc.fill_null(pc.list_value_length(_one_chunk(column)), 0)
    return np.concatenate(([0], np.cumsum(lengths.to_numpy(zero_copy_only=False), dtype=np.int64)))


def records(column: Column) -> dict[str, pa.Array]:
    """The records of a list<struct> column, one flat array a field, in the order that `offsets` counts."""
    flat = _one_chunk(column).flatten()  # skips NULL lists and honours slices
    return {flat.type.field(i).name: field for i, field in enumerate(flat.flatten())}


def lists(values: Column, list_offsets: NDArray[np.int64]) -> pa.ListArray:
    """A list column from flat values and (B + 1,) offsets."""
    return pa.ListArray.from_arrays(pa.array(list_offsets, pa.int32()), _one_chunk(values))


def lists_of_records(fields: Mapping[str, Column], list_offsets: NDArray[np.int64], kind: pa.ListType) -> pa.ListArray:
    """A list<struct> column of type `kind` from its flat fields; ValueError where a field of `kind` is missing."""
    wanted = [kind.value_type.field(i) for i in range(kind.value_type.num_fields)]
    missing = [field.name for field in wanted if field.name not in fields]
    if missing:
        raise ValueError(f"records: fields {', '.join(missing)} are missing")
    flat = [_one_chunk(fields[field.name]).cast(field.type, safe=False) for field in wanted]
    return lists(pa.StructArray.from_arrays(flat, fields=wanted), list_offsets)


def matrix_rows(values: NDArray[np.floating]) -> pa.ListArray:
    """(B, K) floats as a column of B lists of K float32."""
    n_rows, n_columns = values.shape
    return lists(pa.array(values.ravel(), pa.float32()), np.arange(n_rows + 1, dtype=np.int64) * n_columns)


def codes(column: Column, names: Sequence[str]) -> NDArray[np.int8]:
    """A string column as (N,) int8 positions in `names`; -1 for NULL and for any other string."""
    found = pc.index_in(_one_chunk(column), pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int8)


def names_where(masks: Mapping[str, NDArray[np.bool_]]) -> pa.Array:
    """For each of N rows the names of the masks that are true there, comma-separated in the masks' order; '' where none is."""
    names = list(masks)
    texts = [",".join(name for bit, name in enumerate(names) if code >> bit & 1) for code in range(2 ** len(names))]
    code = sum((masks[name].astype(np.int64) << bit for bit, name in enumerate(names)), np.int64(0))
    return pc.take(pa.array(texts, pa.string()), pa.array(np.asarray(code)))


def _one_chunk(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
