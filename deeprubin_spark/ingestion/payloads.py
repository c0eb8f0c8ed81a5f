"""Alerts as a stream sends them: a Parquet file with one Avro body a row, and what they were written with in the file's key-value metadata.

    column payload (binary)    the record, without header or schema
    avro.schema                the writer schema, as JSON
    confluent.schema.id        where it is given, each body has the frame of Confluent's wire format before it: a zero byte and this id (4 bytes)

Bodies are decoded where Parquet's reader has put them; nothing is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deeprubin_spark.ingestion.archive import Source
from deeprubin_spark.ingestion.container import BadPacketError
from deeprubin_spark.ingestion.decode import Bad, Decoded, Decoder, Packets
from deeprubin_spark.ingestion.tar import Damage
from deeprubin_spark.kernels.avro_program import Program

SCHEMA, SCHEMA_ID, PAYLOAD = b"avro.schema", b"confluent.schema.id", "payload"
_ROWS = 512  # read at a time
_FRAME = 5  # [byte]


def payloads(source: Source, decoder: Decoder) -> Iterator[Decoded | Bad | Damage]:
    """The alerts of a file, or of its part `source.groups`."""
    try:
        yield from _rows(source, decoder)
        if source.md5 and (source.groups is None or source.groups[0] == 0):
            yield from _checked(source)
    except BadPacketError as error:
        yield Damage("not_an_archive", 0, error.detail)
    except (pa.ArrowException, OSError) as error:
        with open(source.path, "rb") as file:
            began = file.read(4) in (b"PAR1", b"")
        yield Damage("truncated_archive" if began else "not_an_archive", 0, f"expected a Parquet file, found {error}")


def _rows(source: Source, decoder: Decoder) -> Iterator[Decoded | Bad]:
    with pq.ParquetFile(source.path, pre_buffer=False) as file:
        metadata = file.metadata.metadata or {}
        column = file.schema_arrow.field(PAYLOAD) if PAYLOAD in file.schema_arrow.names else None
        if SCHEMA not in metadata or column is None or not pa.types.is_binary(column.type):
            raise BadPacketError("not_avro", f"expected a binary column {PAYLOAD!r} and the key {SCHEMA.decode()!r} in the file's metadata")
        program = decoder.writers.program(metadata[SCHEMA])
        schema_id = int(metadata[SCHEMA_ID]) if SCHEMA_ID in metadata else None
        begin, end = source.groups or (0, file.metadata.num_row_groups)
        position = sum(file.metadata.row_group(group).num_rows for group in range(begin))
        for batch in file.iter_batches(_ROWS, row_groups=list(range(begin, end)), columns=[PAYLOAD], use_threads=False):
            yield from _batch(batch.column(0), position, schema_id, program, decoder)
            position += batch.num_rows


def _batch(bodies: pa.BinaryArray, position: int, schema_id: int | None, program: Program, decoder: Decoder) -> Iterator[Decoded | Bad]:
    """Decode some rows; `position` is the number of the first one."""
    _, offsets, data = bodies.buffers()
    bounds = np.frombuffer(offsets, np.int32)[bodies.offset : bodies.offset + len(bodies) + 1].astype(np.int64)
    numbers = np.arange(position, position + len(bodies))
    names = pc.binary_join_element_wise("row", pc.cast(pa.array(numbers), pa.string()), " ")
    packets = Packets(memoryview(data or b""), bounds[:-1], bounds[1:], names, np.zeros(len(numbers), np.int64), np.diff(bounds), position)
    if schema_id is None:
        yield from decoder.payloads(packets, program, packets.begins)
        return
    is_framed = _is_framed(packets, schema_id)
    for i in np.flatnonzero(~is_framed).tolist():
        found = packets.payload(i, _FRAME).hex() or "nothing"
        yield Bad(packets, i, 0, "decode_failed", f"byte 0: expected a zero byte and the schema id {schema_id}, found {found}")
    yield from decoder.payloads(packets, program, packets.begins + _FRAME, np.flatnonzero(is_framed))


def _is_framed(packets: Packets, schema_id: int) -> NDArray[np.bool_]:
    """(N,) whether a body begins with the frame."""
    framed = np.zeros(len(packets.begins), np.bool_)
    long_enough = np.flatnonzero(packets.n_bytes >= _FRAME)
    places = packets.begins[long_enough, None] + np.arange(_FRAME)
    expected = np.frombuffer(b"\0" + schema_id.to_bytes(4, "big"), np.uint8)
    framed[long_enough] = (np.frombuffer(packets.data, np.uint8)[places] == expected).all(axis=1)
    return framed


def _checked(source: Source) -> Iterator[Damage]:
    digest = hashlib.md5(usedforsecurity=False)
    with open(source.path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    if (found := digest.hexdigest()) != source.md5:
        yield Damage("wrong_checksum", 0, f"MD5SUMS expects {source.md5}, found {found}")
