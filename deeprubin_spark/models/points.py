"""Measurements of objects to tokens: one observation in any band is one token, so sparse two-band and dense six-band light curves are read alike.

points -> `most_informative` -> (training: `redrawn_points`, `hidden_points`) -> `tokens`. Numpy in, tensors out; an object's tokens depend on its own
points only, not on their order, not on the objects beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.measurements import DETECTION, LIMIT

MAX_POINTS = 256
TOKEN: tuple[str, ...] = ("flux", "error", "log_sn", "detection", "gap", "log_scale", "hidden")
N_WAVELENGTH = 3  # Legendre polynomials in log wavelength
FULL_WEIGHT_SN = 5.0  # signal to noise from which a point counts in full: a survey's own detection limit
_LEAST_WEIGHT = 1e-4
_MATRIX = ("mjd", "wavelength", "flux", "flux_err", "is_detection")
N_MATRIX = len(_MATRIX) * MAX_POINTS
_SHORTEST, _LONGEST = 3000.0, 11000.0  # [Angstrom] a little beyond u and y
_SCALE_UNIT = 1e4  # [nJy] 21.4 mag

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Points:
    """Measurements of B objects, one object after the other, within an object in any order.

    offsets : (B + 1,) int64      mjd : (N,) [d]      wavelength : (N,) [Angstrom]      flux, flux_err : (N,) [nJy], finite, flux_err > 0
    is_detection : (N,) bool. ValueError where lengths differ or a value is unusable.
    """

    offsets: NDArray[np.int64]
    mjd: FloatArray
    wavelength: FloatArray
    flux: FloatArray
    flux_err: FloatArray
    is_detection: Mask

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)[1:]}
        if set(lengths.values()) != {int(self.offsets[-1])}:
            raise ValueError(f"points: {int(self.offsets[-1])} of each expected by the offsets, found {lengths}")
        usable = np.isfinite(self.mjd) & np.isfinite(self.flux) & np.isfinite(self.flux_err) & (self.flux_err > 0.0)
        if not usable.all():
            first = int(np.argmin(usable))
            raise ValueError(f"points: a finite time and flux and an error > 0 expected, {(~usable).sum()} without, the first at {first}")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def owner(self) -> NDArray[np.int64]:
        """(N,) each point's object."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def position(self) -> NDArray[np.int64]:
        """(N,) each point's place in its object, from 0."""
        return np.arange(len(self.mjd)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))

    def take(self, order: NDArray[np.int64]) -> Points:
        """The points at these places, object by object."""
        counts = np.bincount(self.owner[order], minlength=len(self))
        flat = {field.name: getattr(self, field.name)[order] for field in fields(self)[1:]}
        return Points(np.concatenate([[0], np.cumsum(counts)]), **flat)


def from_records(records: NDArray[np.void], offsets: NDArray[np.int64], *, with_limits: bool = False) -> Points:
    """Points of the column `points` of `features`: (N,) `MODEL_RECORD`, (B + 1,). Points without a usable flux are left out.

    A measurement counts as a detection if the survey said so, or if it is forced photometry beyond 5 sigma. with_limits: an upper limit is the
    measurement 0 +- limit / 5, which is what forced photometry says of an object that is not there.
    """
    flux, error = records["flux_njy"].astype(np.float64), records["flux_err_njy"].astype(np.float64)
    is_limit = records["kind"] == LIMIT
    if with_limits:
        flux, error = np.where(is_limit, 0.0, flux), np.where(is_limit, records["limit_njy"] / FULL_WEIGHT_SN, error)
    usable = np.isfinite(flux) & np.isfinite(error) & (error > 0.0) & (with_limits | ~is_limit)
    wavelength = np.array([band.wavelength for band in BANDS])[records["band"]]
    with np.errstate(invalid="ignore"):
        is_detection = (records["kind"] == DETECTION) | (~is_limit & (np.abs(flux) >= FULL_WEIGHT_SN * error))
    kept = np.concatenate([[0], np.cumsum(usable)])[offsets]
    flat = (records["mjd"].astype(np.float64), wavelength, flux, error, is_detection)
    return Points(kept, *(values[usable] for values in flat))


def as_matrix(records: NDArray[np.void], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """The most informative points of `from_records` as (B, 5 x 256) float32, a training set's column: 256 times [d] since the object's first point, then as
    many wavelengths [Angstrom], fluxes and errors [nJy], and 1 for detections. By time; NaN behind an object's last point.
    """
    points = most_informative(from_records(records, offsets))
    first = points.mjd[np.minimum(points.offsets[:-1], max(len(points.mjd) - 1, 0))] if len(points.mjd) else np.zeros(len(points))
    made = np.full((len(points), len(_MATRIX), MAX_POINTS), np.nan, np.float32)
    since_first = replace(points, mjd=points.mjd - first[points.owner])
    for i, name in enumerate(_MATRIX):
        made[points.owner, i, points.position] = getattr(since_first, name)
    return made.reshape(len(points), -1)


def of_matrix(matrix: NDArray[np.floating]) -> Points:
    """The points of `as_matrix`. ValueError where it is not such."""
    table = matrix.reshape(len(matrix), len(_MATRIX), -1)
    filled = np.isfinite(table[:, 0])
    flat = {name: table[:, i][filled].astype(np.float64) for i, name in enumerate(_MATRIX)}
    offsets = np.concatenate([[0], np.cumsum(filled.sum(axis=1))])
    return Points(offsets, **{**flat, "is_detection": flat["is_detection"] > 0.5})


def information(flux: FloatArray, flux_err: FloatArray) -> FloatArray:
    """How much a point counts beside others:  w = min(1, (S/N / 5)^2),  S/N = |flux| / flux_err.  (N,) to (N,) [1]."""
    weight: FloatArray = np.minimum(1.0, (flux / flux_err / FULL_WEIGHT_SN) ** 2)
    return weight


def most_informative(points: Points, max_points: int = MAX_POINTS) -> Points:
    """By time, and of an object with more than max_points those of most information, among equals the latest."""
    ordered = points.take(np.lexsort((points.flux, points.wavelength, points.mjd, points.owner)))
    counts = np.diff(ordered.offsets)
    if len(counts) == 0 or counts.max() <= max_points:
        return ordered
    best = np.lexsort((-np.arange(len(ordered.mjd)), -information(ordered.flux, ordered.flux_err), ordered.owner))
    return ordered.take(np.sort(best[ordered.position < max_points]))


def redrawn_points(points: Points, normal: FloatArray, kappa: FloatArray) -> Points:
    """Fluxes moved within their errors:  f' = f + kappa sigma e,  sigma' = sigma sqrt(1 + kappa^2).

    normal, e : (N,) standard normal      kappa : (B,). A measurement that was moved by kappa sigma is that much less certain.
    """
    strength = np.asarray(kappa, np.float64)[points.owner]
    return replace(points, flux=points.flux + strength * points.flux_err * normal, flux_err=points.flux_err * np.sqrt(1.0 + strength**2))


def noise_pattern(points: Points, seed: int) -> FloatArray:
    """(N,) standard normal by a point's place in its object, of at most 256: every object is redrawn alike, whatever stands beside it."""
    pattern: FloatArray = np.random.default_rng(seed).standard_normal(MAX_POINTS)[points.position]
    return pattern


def hidden_points(points: Points, uniform: FloatArray, *, random_share: float = 0.3, latest_share: float = 0.2) -> Mask:
    """What the network has to rebuild: (N,) bool, a random share of the points, and of each object's points, which are by time, the latest.

    uniform : (N,) in [0, 1)
    """
    counts = np.diff(points.offsets)
    is_late = points.position >= np.repeat(counts - np.floor(latest_share * counts), counts)
    return np.asarray((uniform < random_share) | is_late)


def wavelength_code(wavelength: FloatArray) -> FloatArray:
    """Legendre polynomials P1, P2, P3 of log wavelength, scaled to [-1, 1] from 3000 to 11000 Angstrom.  (N,) to (N, 3)."""
    x = 2.0 * np.log(np.asarray(wavelength) / _SHORTEST) / np.log(_LONGEST / _SHORTEST) - 1.0
    return np.stack([x, 0.5 * (3.0 * x**2 - 1.0), 0.5 * (5.0 * x**3 - 3.0 * x)], axis=-1)


@dataclass(frozen=True)
class Tokens:
    """B objects of up to L points; rows are filled up with zeros.

    values : (B, L, 7) in the order of `TOKEN`      wavelength : (B, L, 3), see `wavelength_code`      time : (B, L) [d] since the first detection
    weight : (B, L) information      given : (B, L) bool, points whose flux the network sees      hidden : (B, L) {0, 1}, those it has to rebuild
    flux, sd : (B, L) what is to be rebuilt and its measurement error, in units of scale      scale : (B,) [nJy]
    """

    values: Tensor
    wavelength: Tensor
    time: Tensor
    weight: Tensor
    given: Tensor
    hidden: Tensor
    flux: Tensor
    sd: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def to(self, device: torch.device | str) -> Tokens:
        """On that device."""
        return Tokens(*(getattr(self, field.name).to(device) for field in fields(self)))

    def take(self, rows: Tensor | slice) -> Tokens:
        """The named objects."""
        return Tokens(*(getattr(self, field.name)[rows] for field in fields(self)))

    def inputs(self) -> Tensor:
        """(B, L, 10) all that is told of a point but its time."""
        return torch.cat([self.values, self.wavelength], dim=2)

    def filled(self) -> Tensor:
        """(B, L) bool, where a point is, given or hidden."""
        return self.given | (self.hidden > 0.0)

    def gap(self) -> Tensor:
        """(B, L) [d] since the point before, 0 for the first and where no point is."""
        return torch.diff(self.time, dim=1, prepend=self.time[:, :1]) * self.filled()

    def log_weight(self) -> Tensor:
        """(B, L) ln w, finite: w at least 1e-4, a signal to noise of 0.05."""
        return torch.log(self.weight.clamp(min=_LEAST_WEIGHT))


def tokens(points: Points, hidden: Mask | None = None, *, sees_errors: bool = True, n_points: int = 1) -> Tokens:
    """Tokens of points in the order of time, see `most_informative`; rows of n_points tokens at least.

    flux asinh(f / s)      error sigma / (sigma + s)      log_sn 1/2 log10(1 + (f / sigma)^2)      gap log10(1 + days since the point before)
    log_scale log10(s / 10^4 nJy)

    s, the object's scale, is the median |f| of the points given, weighted by their information: the brightness where it was measured, whatever the
    noise around it. A hidden point shows when and at which wavelength, and has no part in scale or time zero. sees_errors = False makes the tokens of
    a network blind to errors: no error, no signal to noise, all weights 1; that a survey called a point a detection still shows. ValueError where
    points are not by time.
    """
    table = _Padded(points.offsets, n_points)
    mjd, flux, error = table.of(points.mjd), table.of(points.flux), table.of(points.flux_err, fill=1.0)
    is_hidden = table.of(np.zeros(len(points.mjd), np.bool_) if hidden is None else hidden)
    given, step = table.filled & ~is_hidden, np.diff(mjd, axis=1, prepend=mjd[:, :1]) * table.filled
    if (step < 0.0).any():
        raise ValueError(f"points: in the order of time expected, {(step < 0.0).sum()} are not; put them through most_informative")
    weight = given * (information(flux, error) if sees_errors else 1.0)
    scale = _weighted_median(np.abs(flux), weight)
    if sees_errors:  # of an object without any flux
        scale = np.where(scale > 0.0, scale, _weighted_median(error, given.astype(np.float64)))
    scale = np.where(scale > 0.0, scale, 1.0)
    f, sigma = flux / scale[:, None], error / scale[:, None]
    values = np.zeros((*flux.shape, len(TOKEN)))
    values[..., 0], values[..., 3] = np.arcsinh(f) * given, table.of(points.is_detection) * given
    if sees_errors:
        values[..., 1], values[..., 2] = sigma / (1.0 + sigma) * given, 0.5 * np.log10(1.0 + (f / sigma) ** 2) * given
    values[..., 4], values[..., 5] = np.log10(1.0 + step), np.log10(scale / _SCALE_UNIT)[:, None] * table.filled
    values[..., 6] = is_hidden
    code = wavelength_code(table.of(points.wavelength, fill=_SHORTEST)) * table.filled[..., None]
    time = (mjd - _first(mjd, given, values[..., 3] > 0.0)[:, None]) * table.filled
    sd = sigma * table.filled if sees_errors else np.zeros_like(sigma)
    return Tokens(
        values=_tensor(values),
        wavelength=_tensor(code),
        time=_tensor(time),
        weight=_tensor(weight),
        given=torch.from_numpy(given),
        hidden=_tensor(is_hidden),
        flux=_tensor(f * table.filled),
        sd=_tensor(sd),
        scale=_tensor(scale),
    )


class _Padded:
    """Flat values to (B, L), L the longest object's number of points, at least n_points. `filled` says where a point is."""

    def __init__(self, offsets: NDArray[np.int64], n_points: int) -> None:
        counts = np.diff(offsets)
        self.filled = np.arange(max(n_points, int(counts.max(initial=0)))) < counts[:, None]

    def of(self, flat: NDArray, fill: float = 0.0) -> NDArray:
        """(N,) to (B, L) of the same type."""
        padded = np.full(self.filled.shape, fill, flat.dtype)
        padded[self.filled] = flat
        return padded


def _weighted_median(values: FloatArray, weight: FloatArray) -> FloatArray:
    """The smallest value up to which half of the weight lies, 0 for a row without weight.  (B, L), (B, L) to (B,)."""
    order = np.argsort(np.where(weight > 0.0, values, np.inf), axis=1, kind="stable")
    summed = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    middle = np.argmax(summed >= 0.5 * summed[:, -1:], axis=1)
    found = np.take_along_axis(values, order, axis=1)[np.arange(len(values)), middle]
    return np.where(summed[:, -1] > 0.0, found, 0.0)


def _first(mjd: FloatArray, given: Mask, detected: Mask) -> FloatArray:
    """Time of each row's first detection, else of its first point given, else of its first point.  (B, L) to (B,)."""
    rows = np.arange(len(mjd))
    chosen = np.where(detected.any(axis=1), detected.argmax(axis=1), given.argmax(axis=1))
    return np.asarray(mjd[rows, chosen])


def _tensor(array: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
