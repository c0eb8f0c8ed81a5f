"""The bytes of a tar or tar.gz, read once from front to back, whatever is wrong with them.

Python's gzip readers lose what they had already inflated when they meet damage; here every byte before it is delivered. A thread inflates ahead
of whoever takes the bytes, since inflating needs no interpreter lock. Format: RFC 1952.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO, NamedTuple, cast

from isal import isal_zlib

_MAGIC = b"\x1f\x8b"
_DEFLATE = 8
_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # header flags
_LONGEST_HEADER = 1 << 20
_READ = 1 << 19  # [byte] read from the file at a time
_STEP = 1 << 21  # [byte] inflated at a time at most
_CAREFUL_STEP = 1 << 12  # [byte] fed at a time near damage: what may be lost before it
_AHEAD = 3  # pieces that wait inflated
_INFLATE_ERROR: type[Exception] = cast(type[Exception], isal_zlib.error)  # isal's type stubs call the class an instance


class _BrokenError(Exception):
    """The file cannot be inflated any further."""


class Part(NamedTuple):
    """The bytes data[begin:end]; `data` may hold others around them."""

    data: bytes
    begin: int
    end: int


class ArchiveBytes:
    """Uncompressed bytes of an open file that can be sought in, gzipped or not.

    `offset` [byte] is the position in them; `damage` says why they ended too early, '' if they did not. `note` is told every byte of the file
    itself, in order, also those that are not inflated, once `finish` was called.
    """

    def __init__(self, file: BinaryIO, note: Callable[[bytes], object] | None = None) -> None:
        self._file, self._note = file, note
        self._pieces = _ahead(self._inflated())
        self._piece = b""
        self._at = 0
        self.offset = 0
        self.damage = ""

    def take(self, n: int) -> Part:
        """The next `n` bytes; fewer only at the end. They are copied only where they do not lie in one piece."""
        begin = self._at
        if len(self._piece) - begin < n:
            return self._joined(n)
        self._at += n
        self.offset += n
        return Part(self._piece, begin, self._at)

    def skip(self, n: int) -> int:
        """Go `n` bytes on without keeping them. Returns how many there were."""
        left = n
        while left:
            step = min(left, len(self._piece) - self._at)
            self._at += step
            left -= step
            if left and not self._next_piece():
                break
        self.offset += n - left
        return n - left

    def finish(self) -> None:
        """Stop inflating and let `note` see the rest of the file."""
        self._pieces.close()
        while self._note and self._read():
            pass

    def _joined(self, n: int) -> Part:
        parts, found = [self._piece[self._at :]], len(self._piece) - self._at
        self._at = len(self._piece)
        while found < n and self._next_piece():
            part = self._piece[: n - found]
            parts.append(part)
            self._at = len(part)
            found += len(part)
        self.offset += found
        return Part(b"".join(parts), 0, found)

    def _next_piece(self) -> bool:
        try:
            self._piece, self._at = next(self._pieces, b""), 0
        except (_BrokenError, _INFLATE_ERROR) as error:
            self._piece, self._at = b"", 0
            self.damage = str(error)
        return bool(self._piece)

    def _read(self) -> bytes:
        data = self._file.read(_READ)
        if self._note:
            self._note(data)
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
        begin = self._file.tell() - len(data)
        inflate = isal_zlib.decompressobj(-15)  # no header: the checks are ours
        crc = size = 0
        while not inflate.eof:
            if not data:
                data = self._read()
            try:
                piece = inflate.decompress(data, _STEP)
            except _INFLATE_ERROR:
                yield from self._before_damage(begin, size)
                raise
            if not piece and not data and not inflate.eof:
                raise _BrokenError("the file ends inside compressed data")
            data = inflate.unconsumed_tail
            crc, size = isal_zlib.crc32(piece, crc), size + len(piece)
            if piece:
                yield piece
        data = inflate.unused_data
        while len(data) < 8:
            data = self._more(data, "before the gzip checksum")
        expected = (int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little"))
        if expected != (crc, size & 0xFFFFFFFF):
            raise _BrokenError(f"gzip checksum: expected CRC {expected[0]:08x} of {expected[1]} bytes, found {crc:08x} of {size}")
        return data[8:]

    def _before_damage(self, begin: int, delivered: int) -> Iterator[bytes]:
        """Inflate again from byte `begin` of the file, in small steps, for what lies between the delivered bytes and the damage."""
        position = self._file.tell()
        self._file.seek(begin)
        inflate = isal_zlib.decompressobj(-15)
        size = 0
        try:
            while data := self._file.read(_CAREFUL_STEP):
                piece = inflate.decompress(data)
                size += len(piece)
                if size > delivered:
                    yield piece[-(size - delivered) :]
                    delivered = size
        except _INFLATE_ERROR:
            pass
        finally:
            self._file.seek(position)

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


def _ahead(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same pieces, made by a thread up to `_AHEAD` of them ahead; its errors come where its pieces would. Closing it ends the thread."""
    made: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    is_over = threading.Event()

    def put(piece: bytes | BaseException | None) -> None:
        while not is_over.is_set():
            try:
                made.put(piece, timeout=0.2)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for piece in pieces:
                put(piece)
                if is_over.is_set():
                    return
            put(None)
        except BaseException as error:  # for whoever takes the pieces to handle
            put(error)

    thread = threading.Thread(target=make, name="inflate", daemon=True)
    thread.start()
    try:
        while (piece := made.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        is_over.set()
        thread.join()
