"""Packets put together from pieces of real ones: the bytes of a piece are copied, and values are written where its patches are.

Format of the values: Apache Avro specification 1.11, binary encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

# What a patch writes: a float or a double of `reals`; of `integers` a varint, the letter of a string of one, or the end of an array of that many
# blocks (a zero byte, nothing after the zero of an empty array); a string from `names`.
FLOAT, DOUBLE, VARINT, LETTER, ARRAY_END, NAME = range(6)
LONGEST_VALUE = 16  # [byte] no patch but a name writes more, and a name takes the place of one of its own length

IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float64]


class Patch(NamedTuple):
    """A value of the piece: bytes `begin` to `end` of it are replaced by what `kind` writes, of column `column`."""

    begin: int
    end: int
    kind: int
    column: int


class Pieces(NamedTuple):
    """P pieces, one after the other in `blob`, with their patches in order of place.

    blob : (B,) bytes   starts : (P + 1,) positions in blob   patch_starts : (P + 1,) positions in the patches   patches : (K, 4) begin and end in blob,
    kind, column
    """

    blob: ByteArray
    starts: IntArray
    patch_starts: IntArray
    patches: IntArray


def gathered(pieces: Sequence[tuple[bytes, Sequence[Patch]]]) -> Pieces:
    """The pieces, each with its patches in order of place, as arrays."""
    starts = np.cumsum([0, *(len(content) for content, _ in pieces)], dtype=np.int64)
    patch_starts = np.cumsum([0, *(len(patches) for _, patches in pieces)], dtype=np.int64)
    moved = [
        (start + p.begin, start + p.end, p.kind, p.column) for start, (_, patches) in zip(starts, pieces, strict=False) for p in patches
    ]
    blob = np.frombuffer(b"".join(content for content, _ in pieces), np.uint8)
    return Pieces(blob, starts, patch_starts, np.array(moved, np.int64).reshape(-1, 4))


def spliced(
    pieces: Pieces,
    part_piece: IntArray,
    part_row: IntArray,
    packet_starts: IntArray,
    reals: FloatArray,
    integers: IntArray,
    names: ByteArray,
) -> tuple[ByteArray, IntArray]:
    """Packets one after the other: packet i is made of the parts packet_starts[i] to packet_starts[i + 1].

    part_piece, part_row : (N,) the piece of each part and the row of the tables that its values come from
    reals : (R, n)   integers : (I, n)   names : (m, L) letters, for the rows below m
    Returns (bytes, offsets (M + 1,)). ValueError where a part names a piece that is not there.
    """
    if len(part_piece) and not 0 <= part_piece.min() <= part_piece.max() < len(pieces.starts) - 1:
        raise ValueError(f"pieces 0 to {len(pieces.starts) - 2} expected, found {part_piece.min()} to {part_piece.max()}")
    longest = np.diff(pieces.starts) + LONGEST_VALUE * np.diff(pieces.patch_starts)
    out = np.empty(int(longest[part_piece].sum()), np.uint8)
    offsets = np.zeros(len(packet_starts), np.int64)
    _splice(*pieces, part_piece, part_row, packet_starts, reals, integers, names, out, offsets)
    return out[: offsets[-1]], offsets


def spliced_plainly(
    pieces: Pieces, part_piece: IntArray, part_row: IntArray, reals: FloatArray, integers: IntArray, names: ByteArray
) -> bytes:
    """One packet, as `spliced` makes it, in plain Python."""
    out = b""
    for piece, row in zip(part_piece, part_row, strict=True):
        at = pieces.starts[piece]
        for begin, end, kind, column in pieces.patches[pieces.patch_starts[piece] : pieces.patch_starts[piece + 1]]:
            out += pieces.blob[at:begin].tobytes()
            if kind in (FLOAT, DOUBLE):
                out += struct.pack("<f" if kind == FLOAT else "<d", reals[column, row])
            elif kind == VARINT:
                out += varint(int(integers[column, row]))
            elif kind == LETTER:
                out += varint(1) + bytes([integers[column, row]])
            elif kind == ARRAY_END:
                out += b"\0" if integers[column, row] else b""
            else:
                out += varint(names.shape[1]) + names[row].tobytes()
            at = end
        out += pieces.blob[at : pieces.starts[piece + 1]].tobytes()
    return out


def varint(value: int) -> bytes:
    """A long in Avro's zigzag variable-length code."""
    left = (value << 1) ^ (value >> 63)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


@njit(cache=True, nogil=True)
def _splice(
    blob: ByteArray,
    starts: IntArray,
    patch_starts: IntArray,
    patches: IntArray,
    part_piece: IntArray,
    part_row: IntArray,
    packet_starts: IntArray,
    reals: FloatArray,
    integers: IntArray,
    names: ByteArray,
    out: ByteArray,
    offsets: IntArray,
) -> None:
    single, double = np.zeros(1, np.float32), np.zeros(1, np.float64)
    single_bytes, double_bytes = single.view(np.uint8), double.view(np.uint8)
    at = 0
    for packet in range(len(packet_starts) - 1):
        for part in range(packet_starts[packet], packet_starts[packet + 1]):
            piece, row = part_piece[part], part_row[part]
            begin = starts[piece]
            for i in range(patch_starts[piece], patch_starts[piece + 1]):
                at = _copied(blob, begin, patches[i, 0], out, at)
                kind, column = patches[i, 2], patches[i, 3]
                if kind == FLOAT:
                    single[0] = reals[column, row]
                    at = _copied(single_bytes, 0, 4, out, at)
                elif kind == DOUBLE:
                    double[0] = reals[column, row]
                    at = _copied(double_bytes, 0, 8, out, at)
                elif kind == NAME:
                    at = _written_varint(out, at, names.shape[1])
                    at = _copied(names[row], 0, names.shape[1], out, at)
                else:
                    at = _written_integer(out, at, kind, integers[column, row])
                begin = patches[i, 1]
            at = _copied(blob, begin, starts[piece + 1], out, at)
        offsets[packet + 1] = at


@njit(cache=True, nogil=True)
def _written_integer(out: ByteArray, at: int, kind: int, value: int) -> int:
    if kind == VARINT:
        return _written_varint(out, at, value)
    if kind == LETTER:
        out[at], out[at + 1] = 2, value
        return at + 2
    if value != 0:  # the end of an array that is not empty
        out[at] = 0
        return at + 1
    return at


@njit(cache=True, nogil=True)
def _copied(source: ByteArray, begin: int, end: int, out: ByteArray, at: int) -> int:
    """Copy source[begin:end] to out[at:]; returns where it ends. Unsigned positions cannot be counted from the end: twelve times the speed."""
    first, place = np.uint64(begin), np.uint64(at)
    for i in range(np.uint64(end - begin)):
        out[place + i] = source[first + i]
    return at + end - begin


@njit(cache=True, nogil=True)
def _written_varint(out: ByteArray, at: int, value: int) -> int:
    left = np.uint64((value << 1) ^ (value >> 63))
    while left > np.uint64(0x7F):
        out[at] = (left & np.uint64(0x7F)) | np.uint64(0x80)
        left >>= np.uint64(7)
        at += 1
    out[at] = left
    return at + 1
