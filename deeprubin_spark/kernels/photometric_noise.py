"""What a survey's flux errors would be at another flux: the sky's share stays, the source's own share follows the flux.

    sigma^2(F) = sigma_sky^2 + g F + (c F)^2,    F > 0;    a source that is fainter than nothing adds nothing

g [nJy] is the flux of one photo-electron, averaged over a band's exposures, c [1] the scatter that no exposure time removes (zero point, flat field). Both
are found in measured light curves; sigma_sky is each exposure's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

_BRIGHT_SN = 5.0
_LEAST_POINTS = 60
_POINTS_A_BIN = 20
_MOST_BINS = 30
_LEAST_SKY = 0.1  # of sigma^2: an exposure's own flux, noise included, may explain nearly all of its error, never all


@dataclass(frozen=True)
class Noise:
    """The source's share of the error, of each band of `BANDS`: photon (6,) [nJy], relative (6,) [1]."""

    photon: FloatArray
    relative: FloatArray

    def of_source(self, band: NDArray[np.integer], flux: FloatArray) -> FloatArray:
        """G F + (c F)^2 of fluxes (N,) [nJy] in bands (N,): (N,) [nJy^2], 0 where the flux is not positive."""
        bright = np.maximum(flux, 0.0)
        share: FloatArray = self.photon[band] * bright + (self.relative[band] * bright) ** 2
        return share


def noise_of(curves: LightCurves) -> Noise:
    """G and c of each band, from the points that are 5 sigma above zero.

    Points of a band are put in bins of equal number by flux; of each bin the lower quartile of sigma^2, where the sky adds least, is fitted by non-negative
    least squares of relative deviations to a + g F + (c F)^2. A band with fewer than 60 such points gets g = c = 0: its errors stay as they are.
    """
    photon, relative = np.zeros(len(BANDS)), np.zeros(len(BANDS))
    is_bright = curves.flux > _BRIGHT_SN * curves.flux_err
    for band in np.unique(curves.band):
        chosen = is_bright & (curves.band == band)
        if chosen.sum() >= _LEAST_POINTS:
            photon[band], relative[band] = _of_band(curves.flux[chosen], curves.flux_err[chosen] ** 2)
    return Noise(photon, relative)


def _of_band(flux: FloatArray, variance: FloatArray) -> tuple[float, float]:
    order = np.argsort(flux, kind="stable")
    bins = np.array_split(order, min(len(flux) // _POINTS_A_BIN, _MOST_BINS))
    x, y = np.array([flux[b].mean() for b in bins]), np.array([np.quantile(variance[b], 0.25) for b in bins])
    columns = np.column_stack([np.ones_like(x), x, x**2]) / y[:, None]
    size = columns.max(axis=0)
    _, photon, square = nnls(columns / size, np.ones_like(x))[0] / size
    return float(photon), float(np.sqrt(square))


def errors_at(noise: Noise, band: NDArray[np.integer], flux: FloatArray, flux_err: FloatArray, new_flux: FloatArray) -> FloatArray:
    """Errors that exposures with a measured (flux, flux_err) would have had of a source of `new_flux`; all (N,) [nJy].

    sigma'^2 = max(sigma^2 - s(F), sigma^2 / 10) + s(F'),    s(F) = g F + (c F)^2

    The flux itself for `new_flux` gives back flux_err, but where s(F) is more than nine tenths of its square.
    """
    sky = np.maximum(flux_err**2 - noise.of_source(band, flux), _LEAST_SKY * flux_err**2)
    new_err: FloatArray = np.sqrt(sky + noise.of_source(band, new_flux))
    return new_err
