"""Upper limits about an object's detections: when it was not there yet, and how deep one had looked.

Before is before the first detection in any band, after is after the last one. A limit is the flux [nJy] that a source needed to be detected
(5 sigma for ZTF), so the deepest one is the lowest. The set is ALeRCE's (Sanchez-Saez et al. 2021, table 3), in flux.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, read_only

LIMIT_STATISTICS: tuple[str, ...] = (
    "n_limits_before",
    "n_limits_after",
    "deepest_limit_before",
    "last_limit_before",
    "limit_gap",
    "deepest_limit",
    "rise_over_limit",
)

_N = len(LIMIT_STATISTICS)

Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


class UpperLimits:
    """M upper limits of B objects; object b has the limits offsets[b] to offsets[b + 1], in order of time.

    offsets : (B + 1,) int64      mjd : (M,) float64 [d]      band : (M,) int8, index into `BANDS`      limit : (M,) float64 [nJy]
    ValueError where the arrays do not fit together. A limit whose time or flux is not finite, or whose flux is not positive, counts as none.
    """

    def __init__(self, offsets: NDArray[np.integer], mjd: FloatArray, band: NDArray[np.integer], limit: FloatArray) -> None:
        self.offsets = read_only(np.asarray(offsets, np.int64))
        self.mjd, self.limit = read_only(np.asarray(mjd, np.float64)), read_only(np.asarray(limit, np.float64))
        self.band = read_only(np.asarray(band, np.int8))
        if not len(self.mjd) == len(self.band) == len(self.limit):
            raise ValueError(f"upper limits: arrays of one length expected, found {len(self.mjd)}, {len(self.band)}, {len(self.limit)}")
        falls = bool(np.any(np.diff(self.offsets) < 0))
        if len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.mjd) or falls:
            raise ValueError(f"upper limits: rising offsets from 0 to {len(self.mjd)} expected, found shape {self.offsets.shape}")

    @classmethod
    def none(cls, n_objects: int) -> UpperLimits:
        """No limits for any of so many objects."""
        return cls(np.zeros(n_objects + 1, np.int64), np.empty(0), np.empty(0, np.int8), np.empty(0))


def fill_limit_statistics(curves: LightCurves, limits: UpperLimits, bands: Bands, out: FloatArray, column: int) -> None:
    """`limit_statistics` into out (B, F) from `column` on; what does not exist is left as it is."""
    points = curves.offsets, curves.mjd, curves.band, curves.flux
    _limit_objects(*points, limits.offsets, limits.mjd, limits.band, limits.limit, bands, out, column)


def limit_statistics(curves: LightCurves, limits: UpperLimits, bands: Bands) -> FloatArray:
    """Statistics of the limits of each band, in the order of `LIMIT_STATISTICS`, band after band.

    bands : (W,) int8, indices into `BANDS`. Returns (B, 7 W); the counts are never NaN but for an object without detections.
    ValueError where curves and limits are of different numbers of objects.
    """
    if len(limits.offsets) != len(curves.offsets):
        raise ValueError(f"upper limits: of {curves.n_objects} objects expected, found {len(limits.offsets) - 1}")
    out = np.full((curves.n_objects, len(bands) * _N), np.nan)
    fill_limit_statistics(curves, limits, bands, out, 0)
    return out


def plain_limit_statistics(mjd: FloatArray, limit: FloatArray, first: float, last: float, first_flux: float) -> FloatArray:
    """The plain twin of `limit_statistics` for one band's limits (m,), all usable, of one object.

    first, last : [d] times of the object's first and last detection      first_flux : [nJy] of its first in this band, NaN without
    """
    before, after = limit[mjd < first], limit[mjd > last]
    values = [float(len(before)), float(len(after)), np.nan, np.nan, np.nan, limit.min() if len(limit) else np.nan, np.nan]
    if len(before):
        values[2:5] = [before.min(), before[-1], first - mjd[mjd < first][-1]]
        values[6] = first_flux / before[-1]
    return np.array(values)


@njit(cache=True, nogil=True)
def _limits(
    mjd: FloatArray, band: Bands, limit: FloatArray, wanted: int, first: float, last: float, first_flux: float, row: FloatArray
) -> None:
    """`limit_statistics` of one band of one object whose limits these are, into row (7,)."""
    n_before, n_after, deepest_before, latest, latest_time, deepest = 0, 0, math.inf, math.nan, math.nan, math.inf
    for i in range(len(mjd)):
        if band[i] != wanted or not (0.0 < limit[i] < math.inf and math.isfinite(mjd[i])):
            continue
        deepest = min(deepest, limit[i])
        if mjd[i] < first:
            n_before += 1
            deepest_before, latest, latest_time = min(deepest_before, limit[i]), limit[i], mjd[i]
        elif mjd[i] > last:
            n_after += 1
    row[0], row[1] = n_before, n_after
    if n_before > 0:
        row[2], row[3], row[4], row[6] = deepest_before, latest, first - latest_time, first_flux / latest
    if deepest < math.inf:
        row[5] = deepest


@njit(cache=True, nogil=True)
def _limit_objects(
    offsets: Rows,
    mjd: FloatArray,
    band: Bands,
    flux: FloatArray,
    limit_offsets: Rows,
    limit_mjd: FloatArray,
    limit_band: Bands,
    limit: FloatArray,
    bands: Bands,
    out: FloatArray,
    column: int,
) -> None:
    """`_limits` of every object with detections and every band; out (B, F)."""
    for k in range(len(out)):
        start, end = offsets[k], offsets[k + 1]
        if start == end:
            continue
        low, high = limit_offsets[k], limit_offsets[k + 1]
        for w in range(len(bands)):
            first_flux = math.nan
            for i in range(start, end):
                if band[i] == bands[w]:
                    first_flux = flux[i]
                    break
            row = out[k, column + w * _N : column + (w + 1) * _N]
            _limits(limit_mjd[low:high], limit_band[low:high], limit[low:high], bands[w], mjd[start], mjd[end - 1], first_flux, row)
