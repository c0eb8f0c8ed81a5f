"""A source's packets, from wherever it keeps them, into a decoder: archives, single files, large containers, tables of bare payloads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from deeprubin_spark.ingestion.archive import Source
from deeprubin_spark.ingestion.container import LARGEST_BLOCK, SYNC, BadPacketError, Writer
from deeprubin_spark.ingestion.decode import Bad, Decoded, Decoder, Packets
from deeprubin_spark.ingestion.inflate import ArchiveBytes
from deeprubin_spark.ingestion.payloads import payloads
from deeprubin_spark.ingestion.tar import Damage, Member, members

_PIECE = 4 << 20  # [byte] of a large container read at a time


def read(source: Source, decoder: Decoder) -> Iterator[Decoded | Bad | Damage]:
    """Everything in a source; what the decoder still holds at the end is for the caller to flush."""
    if source.files:
        for position, name in enumerate(source.files):
            yield from _file(Path(source.path) / name, decoder, position)
    elif source.has_payloads:
        yield from payloads(source, decoder)
    else:
        yield from _archive(source, decoder)


def one_packet(content: bytes, name: str, position: int) -> Packets:
    """A packet that is all of its file."""
    return _packets(content, [(0, len(content), name, 0, len(content))], position)


def _file(path: Path, decoder: Decoder, position: int) -> Iterator[Decoded | Bad]:
    """An Avro file: one packet, or a container of many that is read piece by piece."""
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        piece = file.read(_PIECE)
        packets = _packets(piece, [(0, len(piece), path.name, 0, n_bytes)], position)
        if n_bytes <= len(piece):
            yield from decoder.containers(packets)
            return
        try:
            writer = decoder.writers.of_packet(piece, 0, len(piece))
        except BadPacketError as error:
            yield Bad(packets, 0, 0, error.reason, error.detail)
            return
        yield from _pieces(file, packets, decoder, writer)


def _pieces(file: BinaryIO, first: Packets, decoder: Decoder, writer: Writer) -> Iterator[Decoded | Bad]:
    """The blocks of a container that is too large for one piece; a damaged one ends it, for nothing says where the next begins."""
    begin = len(writer.header) + SYNC
    file.seek(begin - SYNC)
    sync = file.read(SYNC)
    at, n_records, size = begin, 0, _PIECE
    while True:
        file.seek(at)
        piece = file.read(size)
        if not piece:
            return
        packets = replace(first, data=piece, begins=np.zeros(1, np.int64), ends=np.array([len(piece)]))
        try:
            after, n_records = yield from decoder.part_of_container(packets, writer, sync, at, n_records)
        except BadPacketError as error:
            yield Bad(packets, 0, at, error.reason, error.detail)
            return
        if after == at and (len(piece) < size or size == LARGEST_BLOCK):
            yield Bad(packets, 0, at, "decode_failed", f"byte {at}: expected a block of at most {LARGEST_BLOCK} bytes, found {len(piece)}")
            return
        size = LARGEST_BLOCK if after == at else _PIECE
        at = after


def _archive(source: Source, decoder: Decoder) -> Iterator[Decoded | Bad | Damage]:
    digest = hashlib.md5(usedforsecurity=False)
    damages: list[Damage] = []
    with open(source.path, "rb") as file:
        archive = ArchiveBytes(file, digest.update if source.md5 else None)
        position = 0
        for group in _groups(archive, damages):
            yield from decoder.containers(_packets(group[0].part.data, [_place(member) for member in group], position))
            position += len(group)
        archive.finish()
    if source.md5 and digest.hexdigest() != source.md5:
        mismatch = f"MD5SUMS expects {source.md5}, found {digest.hexdigest()}"
        damages = [d._replace(detail=f"{d.detail}; {mismatch}") for d in damages] or [Damage("wrong_checksum", 0, mismatch)]
    yield from damages


def _groups(archive: ArchiveBytes, damages: list[Damage]) -> Iterator[list[Member]]:
    """The members that lie in one piece of memory, together; the damage that ends the archive goes to `damages`."""
    group: list[Member] = []
    for member in members(archive):
        if isinstance(member, Damage):
            damages.append(member)
            break
        if group and member.part.data is not group[0].part.data:
            yield group
            group = []
        group.append(member)
    if group:
        yield group


def _place(member: Member) -> tuple[int, int, str, int, int]:
    return member.part.begin, member.part.end, member.name, member.byte_offset, member.n_bytes


def _packets(data: bytes, places: list[tuple[int, int, str, int, int]], first: int) -> Packets:
    """Packets from (begin, end, name, byte offset, length) each."""
    begins, ends, names, byte_offsets, n_bytes = zip(*places, strict=True)
    begin, end, offset, length = (np.array(numbers, np.int64) for numbers in (begins, ends, byte_offsets, n_bytes))
    return Packets(data, begin, end, pa.array(names, pa.string()), offset, length, first)
