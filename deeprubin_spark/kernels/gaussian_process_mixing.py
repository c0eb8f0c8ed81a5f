"""How the flux at any wavelength follows from an object's bands in a Gaussian process whose kernel is separable.

f_w = c f + e with c = R^-1 r_w, and e a process of its own with variance A^2 (1 - r_w c), about which no band holds anything: because
cov(f_w(t), f_b(t')) = k(t - t') r_wb, what is left of f_w beside c f is independent of every band at every time.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SQRT3 = math.sqrt(3.0)

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@njit(cache=True, nogil=True)
def mix_objects(
    bands: Floats, n_bands: Rows, scale: Floats, wavelengths: Floats, correlation: Floats, mixing: Floats, alone: Floats
) -> None:
    """Correlation between the bands of each object (B, 6, 6), mixing c (B, W, 6) and variance of e in A^2 (B, W).

    bands (B, 6) wavelengths of the first n_bands (B,) of them, scale (B,), wavelengths (W,) [Angstrom]; objects with NaN scale are left out.
    """
    for k in range(len(n_bands)):
        if math.isnan(scale[k]):
            continue
        m = n_bands[k]
        _fill_correlations(bands[k, :m], bands[k, :m], scale[k], correlation[k])
        _fill_correlations(wavelengths, bands[k, :m], scale[k], mixing[k])
        _mix(correlation[k, :m, :m], mixing[k, :, :m], alone[k])


@njit(cache=True, nogil=True)
def _fill_correlations(wavelengths: Floats, others: Floats, scale: float, out: Floats) -> None:
    """(1 + y) e^-y, y = sqrt(3) |w - w'| / scale: (W,) and (V,) into (W, V)."""
    for a in range(len(wavelengths)):
        for b in range(len(others)):
            y = _SQRT3 * abs(wavelengths[a] - others[b]) / scale
            out[a, b] = (1.0 + y) * math.exp(-y)


@njit(cache=True, nogil=True)
def _mix(correlation: Floats, towards: Floats, alone: Floats) -> None:
    """Towards (W, M) <- R^-1 r_w by Cholesky's algorithm, alone (W,) <- 1 - r_w R^-1 r_w; R (M, M). Exact where w is one of the bands."""
    n_bands = len(correlation)
    lower = np.zeros((n_bands, n_bands))
    for i in range(n_bands):
        for j in range(i + 1):
            rest = correlation[i, j]
            for p in range(j):
                rest -= lower[i, p] * lower[j, p]
            lower[i, j] = math.sqrt(rest) if i == j else rest / lower[j, j]
    for w in range(len(towards)):
        share, same = towards[w], -1
        for m in range(n_bands):
            if share[m] == 1.0:
                same = m
        alone[w] = 1.0
        for i in range(n_bands):
            for p in range(i):
                share[i] -= lower[i, p] * share[p]
            share[i] /= lower[i, i]
            alone[w] -= share[i] * share[i]
        for i in range(n_bands - 1, -1, -1):
            for p in range(i + 1, n_bands):
                share[i] -= lower[p, i] * share[p]
            share[i] /= lower[i, i]
        alone[w] = max(alone[w], 0.0)
        if same >= 0:
            share[:] = 0.0
            share[same], alone[w] = 1.0, 0.0
