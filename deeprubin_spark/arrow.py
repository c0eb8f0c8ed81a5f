"""List columns to flat numpy values with offsets, and back: the only place that knows Arrow's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deeprubin_spark.kernels.avro_decode import Columns, present
from deeprubin_spark.kernels.avro_machine import TEXT, TEXT_USED, THERE, VALUES
from deeprubin_spark.kernels.avro_program import Node

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


def rows_of(columns: Mapping[str, Column], schema: pa.Schema, n_rows: int) -> pa.RecordBatch:
    """Rows of a schema; a column that is not given is NULL."""
    arrays = [columns[field.name] if field.name in columns else pa.nulls(n_rows, field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def bytes_of(records: NDArray[np.void], list_offsets: NDArray[np.int64]) -> pa.BinaryArray:
    """A binary column over the memory of records (N,): row i holds records list_offsets[i] to list_offsets[i + 1]."""
    ends = pa.py_buffer((list_offsets * records.itemsize).astype(np.int32))
    return pa.Array.from_buffers(pa.binary(), len(list_offsets) - 1, [None, ends, pa.py_buffer(records)])


def bytes_in(column: Column) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of all rows of a binary column, and (B + 1,) where each row's begin; a NULL is an empty row."""
    flat = _one_chunk(column)
    _, bounds, data = flat.buffers()
    offsets = np.frombuffer(bounds, np.int32)[flat.offset : flat.offset + len(flat) + 1].astype(np.int64)
    return np.frombuffer(data or b"", np.uint8)[offsets[0] : offsets[-1]], offsets - offsets[0]


def matrix_bytes(values: NDArray[np.floating], is_there: NDArray[np.bool_]) -> pa.BinaryArray:
    """(B, K) floats as a column of B times K float32, little-endian; NULL where `is_there` (B,) is false."""
    rows = np.ascontiguousarray(values[is_there], "<f4")
    ends = np.concatenate(([0], np.cumsum(is_there, dtype=np.int64))) * rows.itemsize * values.shape[1]
    return pa.Array.from_buffers(pa.binary(), len(is_there), [_bits(is_there), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(rows)])


def matrix_in(column: Column) -> NDArray[np.float32]:
    """The rows of a column that `matrix_bytes` made, NULLs left out: (B, K)."""
    flat = _one_chunk(column)
    data, _ = bytes_in(flat)
    n_rows = len(flat) - flat.null_count
    return data.view("<f4").reshape(n_rows, -1) if n_rows else np.zeros((0, 0), np.float32)


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


def decoded(columns: Columns, node: Node) -> pa.Array:
    """A node of decoded Avro as an Arrow array over the same memory, which must not be filled further while the array lives.

    Enums come as dictionaries of their symbols, maps and arrays as themselves, a union of more than null and one type as a sparse union.
    """
    n_rows = int(columns.rows[node.table, 0])
    children = [decoded(columns, child) for child in node.children]
    if node.kind == "null":
        return pa.nulls(n_rows)
    if node.kind == "union":
        return pa.UnionArray.from_sparse(pa.array(decoded_values(columns, node)[:n_rows].astype(np.int8)), children)
    valid = _bits(decoded_is_there(columns, node))
    if node.kind == "record":
        fields = [pa.field(child.name, array.type) for child, array in zip(node.children, children, strict=True)]
        return pa.Array.from_buffers(pa.struct(fields), n_rows, [valid], children=children)
    values = decoded_values(columns, node)
    if node.kind in ("array", "map"):
        return _decoded_items(node, n_rows, [valid, pa.py_buffer(values)], children)
    if node.kind in ("string", "bytes", "fixed"):
        kind = pa.string() if node.kind == "string" else pa.binary()
        return pa.Array.from_buffers(kind, n_rows, [valid, pa.py_buffer(values), pa.py_buffer(_decoded_text(columns, node))])
    if node.kind == "boolean":
        return pa.Array.from_buffers(pa.bool_(), n_rows, [valid, pa.py_buffer(np.packbits(values.view(np.uint8), bitorder="little"))])
    array = pa.Array.from_buffers(_DECODED.get(node.kind, pa.int32()), n_rows, [valid, pa.py_buffer(values)])
    return pa.DictionaryArray.from_arrays(array, pa.array(node.symbols, pa.string())) if node.kind == "enum" else array


_DECODED = {"int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64()}


def decoded_values(columns: Columns, node: Node) -> NDArray[np.generic]:
    """The numbers of a node, (R,) of its type; of text, arrays and maps the (R + 1,) int32 offsets; of unions the branch."""
    has_offsets = node.kind in ("string", "bytes", "fixed", "array", "map")
    n_values = int(columns.rows[node.table, 0]) + has_offsets
    dtype = np.dtype(_VALUES.get(node.kind, np.int32))
    begin = int(columns.layout[node.column, VALUES])
    values: NDArray[np.generic] = columns.memory[begin : begin + n_values * dtype.itemsize].view(dtype)
    if has_offsets:
        np.maximum.accumulate(values, out=values)  # rows that are missing end where the row before them ends
    return values


_VALUES = {"boolean": np.uint8, "long": np.int64, "float": np.float32, "double": np.float64}


def decoded_is_there(columns: Columns, node: Node) -> NDArray[np.bool_]:
    """(R,) whether a node is not missing; a copy."""
    begin, n_rows = int(columns.layout[node.column, THERE]) if node.column >= 0 else -1, int(columns.rows[node.table, 0])
    if begin < 0:
        return np.ones(n_rows, np.bool_)
    return columns.memory[begin : begin + n_rows].astype(np.bool_)


class Bitmap(NamedTuple):
    """Which rows of a column are there, as Arrow has it; `bits` None where all are."""

    bits: pa.Buffer | None
    n_absent: int


def bitmaps(columns: Columns, chosen: NDArray[np.int64], missing: NDArray[np.float64]) -> dict[int, Bitmap]:
    """Column of numbers -> where its values are and do not mean "missing"; arguments as of `avro_decode.present`."""
    bits, begins, absent = present(columns, chosen, missing)
    whole = pa.py_buffer(bits)
    found = {}
    for column, begin, n in zip(chosen.tolist(), begins.tolist(), absent.tolist(), strict=True):
        found[column if column >= 0 else -1 - column] = Bitmap(whole.slice(begin) if n else None, n)
    return found


def decoded_numbers(columns: Columns, node: Node, is_there: Bitmap) -> pa.Array:
    """A node of numbers over the memory they were decoded into, NULL where `is_there` says so."""
    begin, n_rows = int(columns.layout[node.column, VALUES]), int(columns.rows[node.table, 0])
    buffer = pa.py_buffer(columns.memory).slice(begin)
    return pa.Array.from_buffers(_DECODED[node.kind], n_rows, [is_there.bits, buffer], null_count=is_there.n_absent)


def lists_where(flat: pa.Array, list_offsets: NDArray[np.generic], is_there: NDArray[np.bool_], kind: pa.ListType) -> pa.ListArray:
    """A list column of type `kind` over the memory of its flat values and (B + 1,) offsets; NULL where `is_there` is false."""
    return pa.Array.from_buffers(kind, len(is_there), [_bits(is_there), pa.py_buffer(list_offsets)], children=[flat])


def spread(values: pa.Array, is_there: NDArray[np.bool_]) -> pa.Array:
    """The values at their places among B rows, where `is_there` (B,) is true, NULL elsewhere."""
    position = np.cumsum(is_there) - 1
    return values.take(pa.array(position, pa.int64(), mask=~is_there))


def _decoded_text(columns: Columns, node: Node) -> NDArray[np.uint8]:
    begin = int(columns.layout[node.column, TEXT])
    return columns.memory[begin : begin + int(columns.layout[node.column, TEXT_USED])]


def _decoded_items(node: Node, n_rows: int, buffers: list[pa.Buffer], children: list[pa.Array]) -> pa.Array:
    if node.kind == "array":
        return pa.Array.from_buffers(pa.list_(children[0].type), n_rows, buffers, children=children)
    fields = [pa.field("key", pa.string(), nullable=False), pa.field("value", children[1].type)]
    entries = pa.Array.from_buffers(pa.struct(fields), len(children[0]), [None], children=children)
    return pa.Array.from_buffers(pa.map_(fields[0], fields[1]), n_rows, buffers, children=[entries])


def _bits(flags: NDArray[Any]) -> pa.Buffer | None:
    """A validity bitmap; None where all are true."""
    return None if flags.all() else pa.py_buffer(np.packbits(flags, bitorder="little"))


def _one_chunk(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
