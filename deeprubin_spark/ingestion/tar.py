"""The members of a tar archive, from a stream of bytes: nothing is extracted, a member's name is only a label.

Python's tarfile ends the listing without a word at a broken header in the middle of an archive; here every early end is a `Damage`.
Format: POSIX pax (IEEE 1003.1), GNU long names.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from deeprubin_spark.ingestion.inflate import ArchiveBytes, Part

LARGEST_PACKET = 64 << 20  # [byte] a ZTF packet has 70 kB; one member may not fill a worker's memory
_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_LONGEST_EXTENSION = 1 << 20
_LONG_NAME, _PAX = (b"L",), (b"x", b"X")
_EXTENSIONS = (*_LONG_NAME, *_PAX, b"K", b"g")
_ORDINARY = re.compile(rb"(?:[0-7]{7}\0){3}([0-7]{11})[\0 ][0-7]{11}[\0 ]([0-7]{6})\0 0.{100}ustar\0", re.DOTALL)  # from byte 100 on
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)


class Member(NamedTuple):
    """A packet: its name, where its bytes begin in the uncompressed archive, its length, and its first `LARGEST_PACKET` bytes in `part`."""

    name: str
    byte_offset: int
    n_bytes: int
    part: Part

    @property
    def payload(self) -> bytes:
        """The bytes of `part`, copied."""
        return self.part.data[self.part.begin : self.part.end]


class Damage(NamedTuple):
    """Why an archive could not be read to its end, or is not what it should be. `reason` is a code of the quarantine table."""

    reason: str
    byte_offset: int
    detail: str


class _DamagedError(Exception):
    """The walk through the archive cannot go on."""


def members(archive: ArchiveBytes) -> Iterator[Member | Damage]:
    """Every file in the archive, then one Damage if it is cut, corrupt or no tar. Folders are passed over; links come as empty members."""
    n_headers = 0
    at_end_mark = False
    extension: dict[str, str] = {}
    while True:
        begin = archive.offset
        data, at, end = archive.take(_BLOCK)
        header = data[at:end]
        if len(header) < _BLOCK:
            break
        at_end_mark = header == _ZEROS
        if at_end_mark:  # two of them end an archive, but archives are also concatenated
            continue
        try:
            info = _parsed(header)
            n_headers += 1
            if info.type in _EXTENSIONS:
                extension |= _extension(archive, info)
                continue
            yield from _content(archive, info, extension)
        except _DamagedError as error:
            yield _damage(archive, begin, n_headers, str(error))
            return
        extension = {}
    if archive.damage or header or not at_end_mark:
        ending = f"expected a tar header, found {header[:32]!r}" if header else "the archive ends without an end-of-archive mark"
        yield _damage(archive, begin, n_headers, ending)


class _Info(NamedTuple):
    """What a header says of its member."""

    name: str
    size: int
    type: bytes


def _parsed(header: bytes) -> _Info:
    """A header; an ordinary one of an ordinary file without tarfile, which takes five times as long."""
    match = _ORDINARY.match(header, 100)
    if match and not header[345] and sum(header) - sum(header[148:156]) + 8 * 32 == int(match[2], 8):
        return _Info(header[:100].partition(b"\0")[0].decode("utf-8", "replace"), int(match[1], 8), tarfile.REGTYPE)
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
    except tarfile.HeaderError as error:
        raise _DamagedError(f"expected a tar header, found {header[:32]!r} ({error})") from error
    return _Info(info.name, info.size, info.type)


def _extension(archive: ArchiveBytes, info: _Info) -> dict[str, str]:
    """'path' and 'size' that a GNU or pax header gives to the member after it."""
    if info.size > _LONGEST_EXTENSION:
        raise _DamagedError(f"an extension header of {info.size} bytes")
    part = archive.take(info.size)
    data = part.data[part.begin : part.end]
    _skip_padding(archive, info.size)
    if len(data) < info.size:
        raise _DamagedError("cut inside an extension header")
    if info.type in _LONG_NAME:
        return {"path": data.split(b"\0")[0].decode("utf-8", "replace")}
    return _pax_records(data) if info.type in _PAX else {}


def _pax_records(data: bytes) -> dict[str, str]:
    """Records of the form `length key=value` and a line feed."""
    found: dict[str, str] = {}
    while data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(data):
            raise _DamagedError(f"a pax header that is none: {data[:32]!r}")
        key, _, value = data[len(length) + 1 : int(length)].removesuffix(b"\n").partition(b"=")
        if key in (b"path", b"size"):
            found[key.decode()] = value.decode("utf-8", "replace")
        data = data[int(length) :]
    return found


def _content(archive: ArchiveBytes, info: _Info, extension: dict[str, str]) -> Iterator[Member]:
    name = extension.get("path", info.name)
    size = int(extension["size"]) if extension.get("size", "").isdigit() else info.size
    if info.type == tarfile.DIRTYPE:
        return
    if info.type in _WITHOUT_DATA:
        yield Member(name, archive.offset, 0, Part(b"", 0, 0))
        return
    offset = archive.offset
    readable = min(size, LARGEST_PACKET)
    part = archive.take(readable)
    found = part.end - part.begin
    if found == readable and size > readable:
        found += archive.skip(size - readable)
    if found < size:
        raise _DamagedError(f"member {name}: {found} of {size} bytes are there")
    yield Member(name, offset, size, part)
    _skip_padding(archive, size)


def _skip_padding(archive: ArchiveBytes, size: int) -> None:
    archive.skip(-size % _BLOCK)


def _damage(archive: ArchiveBytes, byte_offset: int, n_headers: int, detail: str) -> Damage:
    """`truncated_archive` for anything that began as an archive or is empty, `not_an_archive` for the rest."""
    if archive.damage:
        detail = archive.damage if archive.damage in detail else f"{archive.damage}; {detail}"
    began = n_headers or archive.damage or archive.offset == 0
    return Damage("truncated_archive" if began else "not_an_archive", byte_offset, detail)
