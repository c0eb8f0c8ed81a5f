"""Many light curves as flat arrays: the form in which every kernel takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS

FloatArray = NDArray[np.float64]
Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class LightCurves:
    """B light curves of N points in all; object b holds the points offsets[b] to offsets[b + 1].

    offsets : (B + 1,) int64, from 0 to N, never falling      band : (N,) int8, index into `BANDS`
    mjd : (N,) float64 [d]      flux, flux_err : (N,) float64 [nJy], signed difference flux
    All are held as read-only: compiled code then has one form for Arrow's own buffers, which are read-only, and for copies.
    ValueError where the shapes or offsets do not fit together; what is wrong with one object's values is that object's status.
    """

    offsets: NDArray[np.int64]
    mjd: FloatArray
    band: NDArray[np.int8]
    flux: FloatArray
    flux_err: FloatArray

    def __post_init__(self) -> None:
        for name in ("offsets", "mjd", "band", "flux", "flux_err"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        lengths = {name: getattr(self, name).shape for name in ("mjd", "band", "flux", "flux_err")}
        if len(set(lengths.values())) > 1 or self.mjd.ndim != 1:
            raise ValueError(f"light curves: flat arrays of one length expected, found {lengths}")
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or self.offsets[0] != 0 or self.offsets[-1] != len(self.mjd):
            raise ValueError(f"light curves: offsets from 0 to {len(self.mjd)} expected, found shape {self.offsets.shape}")
        if np.any(np.diff(self.offsets) < 0):
            raise ValueError("light curves: offsets fall; each must be at least the one before it")

    @property
    def n_objects(self) -> int:
        """B, objects without points included."""
        return len(self.offsets) - 1


def read_only(array: NDArray[Value]) -> NDArray[Value]:
    """The same values, contiguous, as a view that cannot be written to."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def light_curves(
    offsets: NDArray[np.integer], mjd: FloatArray, band: NDArray[np.integer], flux: FloatArray, flux_err: FloatArray
) -> LightCurves:
    """`LightCurves` of any array-likes, converted to the types the compiled kernels need (no copy where they already have them)."""
    return LightCurves(
        np.ascontiguousarray(offsets, np.int64),
        np.ascontiguousarray(mjd, np.float64),
        np.ascontiguousarray(band, np.int8),
        np.ascontiguousarray(flux, np.float64),
        np.ascontiguousarray(flux_err, np.float64),
    )


def offsets_of_chosen(chosen: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B + 1,) offsets of the runs of rows after keeping only the `chosen` (N,) ones."""
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(chosen, dtype=np.int64)))
    return np.asarray(before[offsets], np.int64)


def chosen_points(curves: LightCurves, chosen: NDArray[np.bool_]) -> LightCurves:
    """The chosen points (N,) of each object; an object may be left without."""
    if chosen.all():
        return curves
    offsets = offsets_of_chosen(chosen, curves.offsets)
    return LightCurves(offsets, curves.mjd[chosen], curves.band[chosen], curves.flux[chosen], curves.flux_err[chosen])


def curves_at(curves: LightCurves, rows: NDArray[np.integer]) -> LightCurves:
    """The light curves of the given rows (R,), in that order; a row may come more than once."""
    counts = np.diff(curves.offsets)[rows]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    points = np.arange(offsets[-1]) + np.repeat(curves.offsets[:-1][rows] - offsets[:-1], counts)
    return LightCurves(offsets, curves.mjd[points], curves.band[points], curves.flux[points], curves.flux_err[points])


def latest_points(curves: LightCurves, max_points: int) -> LightCurves:
    """The last `max_points` points of each object (its rows are sorted by time): tonight's light first, however long the history."""
    counts = np.minimum(np.diff(curves.offsets), max_points)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    if offsets[-1] == len(curves.mjd):
        return curves
    rows = np.arange(offsets[-1]) + np.repeat(curves.offsets[1:] - offsets[1:], counts)
    return LightCurves(offsets, curves.mjd[rows], curves.band[rows], curves.flux[rows], curves.flux_err[rows])


def has_usable_points(curves: LightCurves) -> NDArray[np.bool_]:
    """Whether all points of an object are finite, have a positive error and a known band, and stand in order of time.

    Returns (B,) bool; true for an object without points.
    """
    usable = np.empty(curves.n_objects, np.bool_)
    _usable_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, len(BANDS), usable)
    return usable


@njit(cache=True, nogil=True)
def _usable_objects(
    offsets: NDArray[np.int64],
    mjd: FloatArray,
    band: NDArray[np.int8],
    flux: FloatArray,
    flux_err: FloatArray,
    n_bands: int,
    usable: NDArray[np.bool_],
) -> None:
    """`has_usable_points` of every object."""
    for k in range(len(usable)):
        is_good, last = True, -np.inf
        for i in range(offsets[k], offsets[k + 1]):
            is_good &= (mjd[i] >= last) & (mjd[i] < np.inf) & (abs(flux[i]) < np.inf)
            is_good &= (flux_err[i] > 0.0) & (flux_err[i] < np.inf) & (band[i] >= 0) & (band[i] < n_bands)
            last = mjd[i]
        usable[k] = is_good and (offsets[k] == offsets[k + 1] or mjd[offsets[k]] > -np.inf)
