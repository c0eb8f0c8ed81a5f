"""From a survey's own times to observing nights and to the middle of an exposure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MJD_ZERO_JD = 2400000.5  # JD of MJD 0
MJD_ZERO_DATE = np.datetime64("1858-11-17", "D")
ZTF_EXPOSURE_SECONDS = 30.0  # the public survey's standard exposure, for packets without `exptime`
SECONDS_PER_DAY = 86400.0


def ztf_night(jd: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Night of a ZTF exposure: the UT date of its start, as in the archive's file names (Palomar's night lies within one UT date).

    jd : (N,) float64 [JD, UTC]. Returns (N,) datetime64[D]; NaT where jd is not finite.
    """
    days = np.floor(np.asarray(jd, np.float64) - MJD_ZERO_JD)
    known = np.isfinite(days)
    nights = MJD_ZERO_DATE + np.where(known, days, 0.0).astype(np.int64).astype("timedelta64[D]")
    return np.where(known, nights, np.datetime64("NaT", "D"))


def mid_exposure_mjd(jd: NDArray[np.float64], exptime: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle of a ZTF exposure, whose `jd` is its start.

    MJD = jd - 2400000.5 + exptime / 2

    jd : (N,) float64 [JD, UTC]      exptime : (N,) float64 [s]; NaN, zero or negative (an absent or -999 value): 30 s
    Returns (N,) float64 [MJD, UTC]. NaN jd in, NaN out. ValueError where lengths differ.
    """
    jd, exptime = np.asarray(jd, np.float64), np.asarray(exptime, np.float64)
    if jd.shape != exptime.shape:
        raise ValueError(f"arrays of one length expected, found jd: {jd.shape}, exptime: {exptime.shape}")
    seconds = np.where(exptime > 0.0, exptime, ZTF_EXPOSURE_SECONDS)
    return jd - MJD_ZERO_JD + 0.5 * seconds / SECONDS_PER_DAY
