"""Stars of the reference image that are gone: nearly all of their light is missing, on several nights and in two bands.

A difference flux of -f F_ref, f >= 0.9, says that at most a tenth of the reference's light is left. After the VASCO project (Villarroel et al. 2020,
arXiv:1911.05068). What else looks so: a saturated or blended reference, an asteroid in it, a star that moved, a deep eclipse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.light_curves import LightCurves

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

GONE = 0.9  # [1] share of the reference's light that is missing
FAINTEST_REFERENCE = 10.0 ** (0.4 * (31.4 - 20.0))  # [nJy] AB 20: a fainter star is within the noise of one exposure
LEAST_STAR_SCORE = 0.8
LEAST_NIGHTS, LEAST_BANDS = 3, 2


@dataclass(frozen=True)
class Vanished:
    """Of B objects, arrays (B,).

    is_gone : missing on at least three nights and in two bands, among them its latest      nights : on which it is missing
    fraction : median share missing on those, NaN where there is none
    """

    is_gone: NDArray[np.bool_]
    nights: IntArray
    fraction: FloatArray


def vanished(curves: LightCurves, night_of: IntArray, reference: FloatArray, star_score: FloatArray) -> Vanished:
    """Stars that are gone among B light curves in order of time.

    night_of : (N,) night of each point, ascending      reference : (N,) [nJy] flux of the reference in the point's band, NaN where it is unknown
    star_score : (B,) [1] of the source in the reference, 1 a star, NaN where there is none near
    """
    n_objects = curves.n_objects
    owner = np.repeat(np.arange(n_objects), np.diff(curves.offsets))
    with np.errstate(invalid="ignore", divide="ignore"):
        missing = -curves.flux / reference
        is_gone = (missing >= GONE) & (reference >= FAINTEST_REFERENCE) & (star_score[owner] > LEAST_STAR_SCORE)
    gone = np.flatnonzero(is_gone)
    nights = np.bincount(owner[gone][np.unique(night_of[gone], return_index=True)[1]], minlength=n_objects)
    bands = np.zeros((n_objects, len(BANDS)), bool)
    bands[owner[gone], curves.band[gone]] = True
    has_points = np.diff(curves.offsets) > 0
    lasts = np.zeros(n_objects, bool)
    lasts[has_points] = is_gone[curves.offsets[1:][has_points] - 1]
    fraction = np.full(n_objects, np.nan)
    for b in np.unique(owner[gone]).tolist():  # few objects have lost a point of nearly all their light
        fraction[b] = np.median(missing[gone[owner[gone] == b]])
    return Vanished((nights >= LEAST_NIGHTS) & (bands.sum(axis=1) >= LEAST_BANDS) & lasts, nights.astype(np.int64), fraction)
