"""One packet of bytes to its alerts, with fastavro.

A packet is an Avro container file with its own schema of 22 kB; parsing that each time would be a third of the work, so parsed schemas are
kept by their text. The container is walked here, because fastavro's own reader cannot say at which byte it failed.
Format: Apache Avro specification 1.11, Object Container Files.
"""

from __future__ import annotations

import io
import json
import zlib
from functools import lru_cache
from typing import Any

import fastavro

_MAGIC = b"Obj\x01"
_SYNC = 16
_SHOWN = 48  # [byte] of a strange packet that its quarantine row shows
Alert = dict[str, Any]


class BadPacketError(Exception):
    """A packet unfit for `alerts_ztf`. `reason` is a code of the quarantine table, `detail` what was expected, found, and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(packet: bytes) -> list[Alert]:
    """The alerts of a packet, as nested dicts of the packet's own names: one in the survey's packets, any number in rewritten files.

    BadPacketError 'not_avro' for bytes that are no Avro container, 'decode_failed' for a damaged one.
    """
    if not packet.startswith(_MAGIC):
        found = "nothing" if not packet else repr(packet[:_SHOWN])
        raise BadPacketError("not_avro", f"byte 0: expected the Avro magic {_MAGIC!r}, found {found}")
    file = io.BytesIO(packet)
    file.seek(len(_MAGIC))
    metadata = _metadata(file)
    sync = file.read(_SYNC)
    schema = _schema(metadata.get("avro.schema", b""))
    codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
    alerts: list[Alert] = []
    while file.tell() < len(packet):
        alerts += _block(file, schema, codec, sync)
    return alerts


def _metadata(file: io.BytesIO) -> dict[str, bytes]:
    """The header's map of string to bytes."""
    found: dict[str, bytes] = {}
    while (count := _long(file, "header")) != 0:
        if count < 0:  # then the block's length in bytes follows
            _long(file, "header")
        for _ in range(abs(count)):
            key = _bytes(file, "header key")
            found[key.decode("utf-8", "replace")] = _bytes(file, "header value")
    return found


@lru_cache(maxsize=64)
def _schema(text: bytes) -> Any:
    try:
        return fastavro.parse_schema(json.loads(text))
    except Exception as error:  # fastavro raises its own, and plain ValueError, KeyError, TypeError
        raise BadPacketError("decode_failed", f"header: the schema cannot be read: {type(error).__name__}: {error}") from error


def _block(file: io.BytesIO, schema: Any, codec: str, sync: bytes) -> list[Alert]:
    """One block: count, length, records, sync marker."""
    begin = file.tell()
    count, size = _long(file, "block count"), _long(file, "block length")
    data_begin = file.tell()
    data = file.read(size) if size >= 0 else b""
    if count < 0 or len(data) != size:
        found = f"count {count} and length {size} with {len(data)} bytes left"
        raise BadPacketError("decode_failed", f"byte {begin}: expected a block of records, found {found}")
    marker = file.read(_SYNC)
    if marker != sync:
        expected = f"the sync marker {sync.hex()} after a block of {size} bytes"
        raise BadPacketError("decode_failed", f"byte {data_begin + size}: expected {expected}, found {marker.hex() or 'nothing'}")
    return _records(_plain(data, codec, data_begin), count, schema, data_begin)


def _plain(data: bytes, codec: str, begin: int) -> bytes:
    if codec == "null":
        return data
    if codec != "deflate":
        raise BadPacketError("decode_failed", f"header: expected codec null or deflate, found {codec!r}")
    try:
        return zlib.decompress(data, -15)
    except zlib.error as error:
        raise BadPacketError("decode_failed", f"byte {begin}: deflated block: {error}") from error


def _records(data: bytes, count: int, schema: Any, begin: int) -> list[Alert]:
    """`begin` [byte]: where the block lies in the packet (positions in a deflated block are counted from there in plain bytes)."""
    block = io.BytesIO(data)
    records: list[Any] = []
    try:
        while len(records) < count and block.tell() < len(data):
            records.append(fastavro.schemaless_reader(block, schema, None))
    except Exception as error:  # damaged bytes make fastavro raise almost anything: EOFError, IndexError, ValueError, ...
        where = f"byte {begin + block.tell()}: record {len(records)}"
        raise BadPacketError("decode_failed", f"{where}: {type(error).__name__}: {error}") from error
    if len(records) != count or block.tell() != len(data):
        found = f"{len(records)} in {block.tell()}"
        raise BadPacketError("decode_failed", f"byte {begin + block.tell()}: expected {count} records in {len(data)} bytes, found {found}")
    return records


def _long(file: io.BytesIO, what: str) -> int:
    """A zigzag varint."""
    value = shift = 0
    while shift < 64:
        byte = file.read(1)
        if not byte:
            raise BadPacketError("decode_failed", f"byte {file.tell()}: {what}: the packet ends here")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
    raise BadPacketError("decode_failed", f"byte {file.tell()}: {what}: expected a number of at most 10 bytes")


def _bytes(file: io.BytesIO, what: str) -> bytes:
    begin = file.tell()
    length = _long(file, what)
    data = file.read(length) if length >= 0 else b""
    if len(data) != length:
        raise BadPacketError("decode_failed", f"byte {begin}: {what}: expected {length} bytes, found {len(data)}")
    return data
