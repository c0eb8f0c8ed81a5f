"""Which of the many versions of an object's points are its light curve as it was known on a night: the rule of `light_curves.py`, compiled.

The plain twin is the SQL of `preprocessing/light_curves.py`, which the view `lightcurves` runs; a test holds one against the other.

A point is identified by (forced or not, exposure, band, limit or not, source); its versions are the packets that held it. An object's points
come in pieces (tonight's segment, older segments, the base), each a range of the flat arrays, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import read_only

DETECTION, LIMIT, FORCED = range(3)  # `kind` below
KINDS: tuple[str, ...] = ("detection", "limit", "forced")
NO_SOURCE = -1  # `source` of limits and forced photometry
# What models read of a point, a record of `features.points`; band and kind are places in BANDS and KINDS, a missing number is NaN.
MODEL_RECORD = np.dtype(
    [("mjd", "<f8"), ("flux_njy", "<f4"), ("flux_err_njy", "<f4"), ("limit_njy", "<f4"), ("band", "i1"), ("kind", "i1")]
)
_LAST_DAY = 2**31 - 1  # later than any night

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Bytes = NDArray[np.int8]
Days = NDArray[np.int32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Versions:
    """N versions of points: what the rule looks at.

    exposure : (N,) float64 [d], start of the exposure      band, kind : (N,) int8      source, packet : (N,) int64, `NO_SOURCE` where there is none
    known_night : (N,) int32 [d since 1970]      rb : (N,) float64, NaN where unknown
    """

    exposure: Floats
    band: Bytes
    kind: Bytes
    source: Longs
    packet: Longs
    known_night: Days
    rb: Floats


@dataclass(frozen=True)
class Pieces:
    """Where the versions of B objects lie: object b has the pieces offsets[b] to offsets[b + 1], piece p the rows start[p] to end[p].

    offsets : (B + 1,) int64      start, end : (P,) int64      is_folded : (P,) bool, a row of the base
    """

    offsets: Longs
    start: Longs
    end: Longs
    is_folded: Flags

    @property
    def n_rows(self) -> int:
        """Rows in all pieces."""
        return int(np.sum(self.end - self.start))


@dataclass(frozen=True)
class Chosen:
    """M points of B objects: rows (M,) of the flat arrays, offsets (B + 1,), same_exposure (M,): another detection of the exposure is preferred."""

    rows: Longs
    offsets: Longs
    same_exposure: Flags


def known_on(versions: Versions, pieces: Pieces, night: Days, unfolded: Days) -> Chosen:
    """The light curve of each object from the versions with known_night <= night, in order of exposure.

    night : (B,) int32      unfolded : (S,) int32, ascending: nights that still have segments, which therefore do not count from the base.
    """
    rows, same = np.empty(pieces.n_rows, np.int64), np.zeros(pieces.n_rows, np.bool_)
    offsets = np.zeros(len(night) + 1, np.int64)
    _light_curves(
        *_arrays(versions), *_ranges(pieces), read_only(pieces.is_folded), read_only(night), read_only(unfolded), rows, offsets, same
    )
    return Chosen(rows[: offsets[-1]], offsets, same[: offsets[-1]])


def compacted(versions: Versions, pieces: Pieces, replaced: Days) -> Chosen:
    """The versions of each object that some night can need, in order of exposure, but those of `replaced` nights (ascending) in folded pieces.

    Of a detection or limit the alert's own row, and the copy known first if that was known before it; of forced photometry all. `known_on` gives
    the same from these as from all, for every night, and so it does from those of them that were known before some night.
    """
    rows = np.empty(pieces.n_rows, np.int64)
    offsets = np.zeros(len(pieces.offsets), np.int64)
    _compact(*_arrays(versions), *_ranges(pieces), read_only(pieces.is_folded), read_only(replaced), rows, offsets)
    return Chosen(rows[: offsets[-1]], offsets, np.zeros(offsets[-1], np.bool_))


def _arrays(versions: Versions) -> tuple[Floats, Bytes, Bytes, Longs, Longs, Days, Floats]:
    exposure, rb = read_only(versions.exposure), read_only(versions.rb)
    band, kind, known = read_only(versions.band), read_only(versions.kind), read_only(versions.known_night)
    return exposure, band, kind, read_only(versions.source), read_only(versions.packet), known, rb


def _ranges(pieces: Pieces) -> tuple[Longs, Longs, Longs]:
    return read_only(pieces.offsets), read_only(pieces.start), read_only(pieces.end)


@njit(cache=True, nogil=True)
def _version_before(i: int, j: int, band: Bytes, kind: Bytes, source: Longs, packet: Longs, known: Days) -> bool:
    """Order of two versions of one exposure: versions of a point together, the one to keep first."""
    if (kind[i] == FORCED) != (kind[j] == FORCED):
        return bool(kind[j] == FORCED)
    if band[i] != band[j]:
        return bool(band[i] < band[j])
    if kind[i] != kind[j]:
        return bool(kind[i] == DETECTION)
    if source[i] != source[j]:
        return bool(source[i] < source[j])
    i_copy, j_copy = source[i] != packet[i], source[j] != packet[j]
    if i_copy != j_copy:
        return bool(j_copy)
    later_first = kind[i] == FORCED
    if known[i] != known[j]:
        return bool((known[i] > known[j]) if later_first else (known[i] < known[j]))
    return bool((packet[i] > packet[j]) if later_first else (packet[i] < packet[j]))


@njit(cache=True, nogil=True)
def _measurement_before(i: int, j: int, band: Bytes, kind: Bytes, source: Longs, packet: Longs, rb: Floats) -> bool:
    """Order of two points of one exposure: measurements of a band together, the preferred one first."""
    if (kind[i] == FORCED) != (kind[j] == FORCED):
        return bool(kind[j] == FORCED)
    if band[i] != band[j]:
        return bool(band[i] < band[j])
    if kind[i] != kind[j]:
        return bool(kind[i] == DETECTION)
    i_copy, j_copy = source[i] != packet[i], source[j] != packet[j]
    if i_copy != j_copy:
        return bool(j_copy)
    i_rb = rb[i] if rb[i] == rb[i] else -1.0
    j_rb = rb[j] if rb[j] == rb[j] else -1.0
    if i_rb != j_rb:
        return bool(i_rb > j_rb)
    return bool(source[i] < source[j])


@njit(cache=True, nogil=True)
def _same_point(i: int, j: int, band: Bytes, kind: Bytes, source: Longs) -> bool:
    return bool(band[i] == band[j] and kind[i] == kind[j] and source[i] == source[j])


@njit(cache=True, nogil=True)
def _by_exposure(rows: Longs, n: int, exposure: Floats, keys: Floats, sorted_rows: Longs) -> None:
    """Sort rows[:n] by exposure, stable; pieces come sorted, so that insertion is cheap for few and merging for many."""
    for a in range(n):
        keys[a] = exposure[rows[a]]
    if n > 48:
        order = np.argsort(keys[:n], kind="mergesort")
        for a in range(n):
            sorted_rows[a] = rows[order[a]]
        for a in range(n):
            rows[a] = sorted_rows[a]
        return
    for a in range(1, n):
        key, row, b = keys[a], rows[a], a - 1
        while b >= 0 and keys[b] > key:
            keys[b + 1] = keys[b]
            rows[b + 1] = rows[b]
            b -= 1
        keys[b + 1] = key
        rows[b + 1] = row


@njit(cache=True, nogil=True)
def _sort_versions(rows: Longs, first: int, end: int, band: Bytes, kind: Bytes, source: Longs, packet: Longs, known: Days) -> None:
    for a in range(first + 1, end):
        row, b = rows[a], a - 1
        while b >= first and _version_before(row, rows[b], band, kind, source, packet, known):
            rows[b + 1] = rows[b]
            b -= 1
        rows[b + 1] = row


@njit(cache=True, nogil=True)
def _sort_measurements(rows: Longs, first: int, end: int, band: Bytes, kind: Bytes, source: Longs, packet: Longs, rb: Floats) -> None:
    for a in range(first + 1, end):
        row, b = rows[a], a - 1
        while b >= first and _measurement_before(row, rows[b], band, kind, source, packet, rb):
            rows[b + 1] = rows[b]
            b -= 1
        rows[b + 1] = row


@njit(cache=True, nogil=True)
def _one_each(rows: Longs, first: int, end: int, band: Bytes, kind: Bytes, source: Longs) -> int:
    """Keep the first version of each point of rows[first:end]; returns the new end."""
    kept = first
    for a in range(first, end):
        if a == first or not _same_point(rows[a], rows[kept - 1], band, kind, source):
            rows[kept] = rows[a]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _light_curves(
    exposure: Floats,
    band: Bytes,
    kind: Bytes,
    source: Longs,
    packet: Longs,
    known: Days,
    rb: Floats,
    piece_offsets: Longs,
    piece_start: Longs,
    piece_end: Longs,
    is_folded: Flags,
    night: Days,
    unfolded: Days,
    out: Longs,
    offsets: Longs,
    same: Flags,
) -> None:
    size = _largest(piece_offsets, piece_start, piece_end)
    rows, scratch, keys = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.float64)
    written = 0
    for b in range(len(night)):
        n = _gathered(rows, piece_offsets[b], piece_offsets[b + 1], piece_start, piece_end, is_folded, known, night[b], unfolded)
        _by_exposure(rows, n, exposure, keys, scratch)
        first = 0
        while first < n:
            end = first + 1
            while end < n and exposure[rows[end]] == exposure[rows[first]]:
                end += 1
            last = end
            if end - first > 1:
                _sort_versions(rows, first, end, band, kind, source, packet, known)
                last = _one_each(rows, first, end, band, kind, source)
                _sort_measurements(rows, first, last, band, kind, source, packet, rb)
            for a in range(first, last):
                i, j = rows[a], rows[a - 1]
                is_same = a > first and (kind[i] == FORCED) == (kind[j] == FORCED) and band[i] == band[j]
                if is_same and kind[i] == LIMIT:
                    continue
                out[written] = i
                same[written] = is_same
                written += 1
            first = end
        offsets[b + 1] = written


@njit(cache=True, nogil=True)
def _largest(piece_offsets: Longs, piece_start: Longs, piece_end: Longs) -> int:
    size = 1
    for b in range(len(piece_offsets) - 1):
        n = 0
        for p in range(piece_offsets[b], piece_offsets[b + 1]):
            n += piece_end[p] - piece_start[p]
        size = max(size, n)
    return size


@njit(cache=True, nogil=True)
def _gathered(
    rows: Longs, first_piece: int, end_piece: int, start: Longs, end: Longs, is_folded: Flags, known: Days, night: int, unfolded: Days
) -> int:
    """Rows of an object's versions that were known on the night; returns how many."""
    n = 0
    for p in range(first_piece, end_piece):
        for i in range(start[p], end[p]):
            if known[i] > night:
                continue
            if is_folded[p] and len(unfolded) > 0:
                at = np.searchsorted(unfolded, known[i])
                if at < len(unfolded) and unfolded[at] == known[i]:
                    continue
            rows[n] = i
            n += 1
    return n


@njit(cache=True, nogil=True)
def _compact(
    exposure: Floats,
    band: Bytes,
    kind: Bytes,
    source: Longs,
    packet: Longs,
    known: Days,
    rb: Floats,
    piece_offsets: Longs,
    piece_start: Longs,
    piece_end: Longs,
    is_folded: Flags,
    replaced: Days,
    out: Longs,
    offsets: Longs,
) -> None:
    size = _largest(piece_offsets, piece_start, piece_end)
    rows, scratch, keys = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.float64)
    written = 0
    for b in range(len(piece_offsets) - 1):
        n = _gathered(rows, piece_offsets[b], piece_offsets[b + 1], piece_start, piece_end, is_folded, known, _LAST_DAY, replaced)
        _by_exposure(rows, n, exposure, keys, scratch)
        first = 0
        while first < n:
            end = first + 1
            while end < n and exposure[rows[end]] == exposure[rows[first]]:
                end += 1
            _sort_versions(rows, first, end, band, kind, source, packet, known)
            written = _needed(rows, first, end, band, kind, source, packet, known, out, written)
            first = end
        offsets[b + 1] = written


@njit(cache=True, nogil=True)
def _needed(
    rows: Longs, first: int, end: int, band: Bytes, kind: Bytes, source: Longs, packet: Longs, known: Days, out: Longs, written: int
) -> int:
    """Write the versions of one exposure that some night can need; they are sorted, a point's own row before its copies."""
    a = first
    while a < end:
        best = rows[a]
        out[written] = best
        written += 1
        seen_own, seen_copy = source[best] == packet[best], source[best] != packet[best]
        own_known = known[best]
        a += 1
        while a < end and _same_point(rows[a], best, band, kind, source):
            i = rows[a]
            is_forced = kind[i] == FORCED
            first_copy = seen_own and not seen_copy and source[i] != packet[i] and known[i] < own_known
            if is_forced or first_copy:
                out[written] = i
                written += 1
            seen_copy = seen_copy or source[i] != packet[i]
            a += 1
    return written
