"""The bytes of a tar or tar.gz, read once from front to back, whatever is wrong with them.

Python's gzip readers lose what they had already inflated when they meet damage; here every byte before it is delivered. Format: RFC 1952.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import BinaryIO, cast

from isal import isal_zlib

_MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # header flags
_LONGEST_HEADER = 1 << 20
_READ = 1 << 18  # [byte] read from the file at a time
_INFLATE_ERROR: type[Exception] = cast(type[Exception], isal_zlib.error)  # isal's type stubs call the class an instance
_STEP = 1 << 16  # [byte] inflated at a time: what may be lost before a broken deflate block


class _BrokenError(Exception):
    """The file cannot be inflated any further."""


class ArchiveBytes:
    """Uncompressed bytes of an open file, gzipped or not.

    `offset` [byte] is the position in them; `damage` says why they ended too early, '' if they did not.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._ready = bytearray()
        self._pieces = self._inflated()
        self.offset = 0
        self.damage = ""

    def take(self, n: int) -> bytes:
        """The next `n` bytes; fewer only at the end."""
        while len(self._ready) < n and self._next_piece():
            pass
        taken = bytes(self._ready[:n])
        del self._ready[:n]
        self.offset += len(taken)
        return taken

    def skip(self, n: int) -> int:
        """Go `n` bytes on without keeping them. Returns how many there were."""
        left = n
        while left and (taken := len(self.take(min(left, _STEP)))):
            left -= taken
        return n - left

    def md5(self) -> str:
        """MD5 of the whole file as it lies on disk, in hexadecimal. What was not read before is read now, but not inflated."""
        while self._read():
            pass
        return self._md5.hexdigest()

    def _next_piece(self) -> bool:
        try:
            piece = next(self._pieces, None)
        except (_BrokenError, _INFLATE_ERROR) as error:
            self.damage = str(error)
            return False
        if piece is None:
            return False
        self._ready += piece
        return True

    def _read(self) -> bytes:
        data = self._file.read(_READ)
        self._md5.update(data)
        return data

    def _inflated(self) -> Generator[bytes, None, None]:
        data = self._read()
        if not data:
            raise _BrokenError("the file is empty (0 bytes)")
        if not data.startswith(_MAGIC):
            while data:
                yield data
                data = self._read()
            return
        while data:
            data = yield from self._gzip_member(data)
            data = data.lstrip(b"\0")  # tapes pad with zeros
            while not data and (more := self._read()):
                data = more.lstrip(b"\0")
            if data and not (data if len(data) > 1 else data + self._read()).startswith(_MAGIC):
                raise _BrokenError(f"after the end of the compressed data: bytes that are not gzip, {data[:16]!r}")

    def _gzip_member(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield one member's content, check its length and CRC, return the bytes after it."""
        while (length := _header_length(data)) > len(data):
            data = self._more(data, "inside a gzip header")
        data = data[length:]
        inflate = isal_zlib.decompressobj(-15)  # no header: the checks are ours
        crc = size = 0
        while not inflate.eof:
            if not data:
                data = self._read()
            piece = inflate.decompress(data, _STEP)
            if not piece and not data and not inflate.eof:
                raise _BrokenError("the file ends inside compressed data")
            data = inflate.unconsumed_tail
            crc, size = isal_zlib.crc32(piece, crc), size + len(piece)
            yield piece
        data = inflate.unused_data
        while len(data) < 8:
            data = self._more(data, "before the gzip checksum")
        expected = (int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little"))
        if expected != (crc, size & 0xFFFFFFFF):
            raise _BrokenError(f"gzip checksum: expected CRC {expected[0]:08x} of {expected[1]} bytes, found {crc:08x} of {size}")
        return data[8:]

    def _more(self, data: bytes, where: str) -> bytes:
        more = self._read()
        if not more or len(data) > _LONGEST_HEADER:
            raise _BrokenError(f"the file ends {where}")
        return data + more


def _header_length(data: bytes) -> int:
    """Length [byte] of the gzip header that `data` begins with; more than `data` has where it is not all there."""
    not_yet = len(data) + 1
    if len(data) < 10:
        return not_yet
    if not data.startswith(_MAGIC) or data[2] != _DEFLATE:
        raise _BrokenError(f"gzip header: expected {_MAGIC + bytes([_DEFLATE])!r}, found {data[:3]!r}")
    flags, at = data[3], 10
    if flags & _EXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            end = data.find(b"\0", at)
            if end < 0:
                return not_yet
            at = end + 1
    return at + 2 if flags & _CHECKSUM else at
