"""Avro object container files: who wrote them, and where their blocks of records lie.

A packet is such a file with its own schema of 22 kB; parsing that each time would be a third of the work, so what was learned from a header is
kept by the header's bytes. Every message says at which byte of the packet something was expected.
Format: Apache Avro specification 1.11, "Object Container Files".
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import fastavro

from deeprubin_spark.kernels.avro_program import Program, compile_schema

MAGIC = b"Obj\x01"
SYNC = 16
LARGEST_BLOCK = 64 << 20  # [byte] plain; a ZTF packet has 70 kB, and no packet may fill a worker's memory
_SHOWN = 48  # [byte] of a strange packet that its quarantine row shows
_KNOWN = 64  # headers, schemas


class BadPacketError(Exception):
    """A packet unfit for `alerts_ztf`. `reason` is a code of the quarantine table, `detail` what was expected, found, and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class IncompleteError(BadPacketError):
    """The bytes end inside the header or a block: of a packet that is its end, of a piece of a large container a reason to read on."""

    def __init__(self, detail: str) -> None:
        super().__init__("decode_failed", detail)


class Block(NamedTuple):
    """`n_records` in data[start:end], after decompression. `origin`: the position in `data` that messages call byte 0, so that one says where
    in the packet something is (in a compressed block: counted from its begin in plain bytes). `next`: where the block after it begins.
    """

    n_records: int
    data: bytes
    start: int
    end: int
    origin: int
    next: int


@dataclass(frozen=True)
class Writer:
    """What a header says: the program of its schema, and the codec. `header` is all of it but the sync marker."""

    program: Program
    codec: str
    header: bytes


class Writers:
    """The headers and schemas met so far, and what is `wanted` of them (paths as in `compile_schema`)."""

    def __init__(self, wanted: Iterable[str] | None) -> None:
        self._wanted = None if wanted is None else tuple(wanted)
        self._writers: list[Writer] = []

    def of_packet(self, data: bytes, begin: int, end: int) -> Writer:
        """Who wrote the packet data[begin:end].

        BadPacketError 'not_avro' for bytes that are no Avro container, 'decode_failed' for a header that is damaged.
        """
        for writer in self._writers:
            if data.startswith(writer.header, begin, end):
                return writer
        writer = self._read(data, begin, end)
        self._writers = [writer, *self._writers[: _KNOWN - 1]]
        return writer

    def program(self, schema: bytes) -> Program:
        """The program of a schema's text. BadPacketError where it cannot be read."""
        try:
            return _compiled(schema, self._wanted)
        except Exception as error:  # fastavro raises its own, and plain ValueError, KeyError, TypeError
            raise BadPacketError("decode_failed", f"header: the schema cannot be read: {type(error).__name__}: {error}") from error

    def _read(self, data: bytes, begin: int, end: int) -> Writer:
        if not data.startswith(MAGIC, begin, end):
            found = "nothing" if begin >= end else repr(data[begin : min(begin + _SHOWN, end)])
            raise BadPacketError("not_avro", f"byte 0: expected the Avro magic {MAGIC!r}, found {found}")
        packet = data[begin:end] if begin or end < len(data) else data
        metadata, length = _metadata(packet, len(MAGIC))
        codec = metadata.get(b"avro.codec", b"null").decode("utf-8", "replace")
        return Writer(self.program(metadata.get(b"avro.schema", b"")), codec, packet[:length])


@lru_cache(_KNOWN)
def _compiled(schema: bytes, wanted: tuple[str, ...] | None) -> Program:
    """Kept as long as the process lives: the next source that a worker reads was mostly written by the same writer."""
    return compile_schema(fastavro.parse_schema(json.loads(schema.decode())), wanted)


def blocks(data: bytes, begin: int, at: int, end: int, sync: bytes, codec: str) -> Iterator[Block]:
    """The blocks that lie in data[at:end], each complete and followed by the sync marker; positions are told from `begin` on.

    IncompleteError where the bytes end inside a block; BadPacketError 'decode_failed' for anything else that is wrong with one.
    """
    while at < end:
        block_begin = at
        count, at = _long(data, begin, at, end, "block count")
        size, at = _long(data, begin, at, end, "block length")
        if count < 0 or size < 0:
            raise BadPacketError(
                "decode_failed", f"byte {block_begin - begin}: expected a block of records, found count {count} and length {size}"
            )
        if at + size > end:
            raise IncompleteError(f"byte {block_begin - begin}: expected a block of {size} bytes, found {end - at}")
        marker = data[at + size : min(at + size + SYNC, end)]
        if marker != sync:
            expected = f"the sync marker {sync.hex()} after a block of {size} bytes"
            detail = f"byte {at + size - begin}: expected {expected}, found {marker.hex() or 'nothing'}"
            raise IncompleteError(detail) if len(marker) < SYNC else BadPacketError("decode_failed", detail)
        following = at + size + SYNC
        if codec == "null":
            yield Block(count, data, at, at + size, begin, following)
        else:
            plain = _plain(data[at : at + size], codec, at - begin)
            yield Block(count, plain, 0, len(plain), begin - at, following)
        at = following


def _metadata(packet: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The header's map of string to bytes, and where it ends."""
    found: dict[bytes, bytes] = {}
    while True:
        count, at = _long(packet, 0, at, len(packet), "header")
        if count == 0:
            return found, at
        if count < 0:  # then the block's length in bytes follows
            _, at = _long(packet, 0, at, len(packet), "header")
        for _ in range(abs(count)):
            key, at = _bytes(packet, at, "header key")
            if not _is_text(key):
                raise BadPacketError("decode_failed", f"byte {at - len(key)}: header key: text that is not UTF-8")
            found[key], at = _bytes(packet, at, "header value")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _bytes(packet: bytes, at: int, what: str) -> tuple[bytes, int]:
    size, at = _long(packet, 0, at, len(packet), what)
    if not 0 <= size <= len(packet) - at:
        raise BadPacketError("decode_failed", f"byte {at}: {what}: expected {size} bytes, found {len(packet) - at}")
    return packet[at : at + size], at + size


def _long(data: bytes, begin: int, at: int, end: int, what: str) -> tuple[int, int]:
    """A zigzag varint and the position after it."""
    value = 0
    for i in range(10):
        if at + i >= end:
            raise IncompleteError(f"byte {at + i - begin}: {what}: the packet ends here")
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80 and value < 1 << 64:
            return (value >> 1) ^ -(value & 1), at + i + 1
    raise BadPacketError("decode_failed", f"byte {at - begin}: {what}: a number longer than ten bytes")


def _plain(data: bytes, codec: str, position: int) -> bytes:
    """A block without its compression. `position` [byte] is for messages."""
    if codec not in _CODECS:
        raise BadPacketError("decode_failed", f"header: expected codec null, {', '.join(_CODECS)}, found {codec!r}")
    try:
        return _CODECS[codec](data)
    except ModuleNotFoundError as error:
        raise BadPacketError("decode_failed", f"header: codec {codec!r} needs the package {error.name}") from error
    except Exception as error:  # each library raises its own
        raise BadPacketError("decode_failed", f"byte {position}: {codec} block: {type(error).__name__}: {error}") from error


def _streams(new_stream: Callable[[], Any]) -> Callable[[bytes], bytes]:
    """Decompresses one stream after the other, all complete and not too large together."""

    def plain(data: bytes) -> bytes:
        found = b""
        while True:
            stream = new_stream()
            found += stream.decompress(data, LARGEST_BLOCK + 1 - len(found))
            if len(found) > LARGEST_BLOCK:
                raise ValueError(f"more than {LARGEST_BLOCK} bytes")
            if not stream.eof:
                raise ValueError("the compressed data end too early")
            data = stream.unused_data
            if not data:
                return found

    return plain


def _deflate(data: bytes) -> bytes:
    stream = zlib.decompressobj(-15)
    plain = stream.decompress(data, LARGEST_BLOCK)
    if not stream.eof:  # some writers leave a part of zlib's checksum behind the end
        raise ValueError(f"the compressed data end too early, or have more than {LARGEST_BLOCK} bytes")
    return plain


def _snappy(data: bytes) -> bytes:
    plain = bytes(import_module("cramjam").snappy.decompress_raw(data[:-4]))
    if zlib.crc32(plain) != int.from_bytes(data[-4:], "big"):
        raise ValueError("wrong checksum")
    return plain


def _zstandard(data: bytes) -> bytes:
    return bytes(import_module("backports.zstd").decompress(data))


def _lz4(data: bytes) -> bytes:
    return bytes(import_module("lz4.block").decompress(data))


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "deflate": _deflate,
    "bzip2": _streams(bz2.BZ2Decompressor),
    "xz": _streams(lzma.LZMADecompressor),
    "snappy": _snappy,
    "zstandard": _zstandard,
    "lz4": _lz4,
}
