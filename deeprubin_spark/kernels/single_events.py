"""Elongated events that are seen once: what else than a bolide or a near body in haste they may be. Satellites are the null.

Each veto is a (N,) bool array, true where the event may be explained so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deeprubin_spark.kernels.earth_position import observer_positions, sun_altitudes
from deeprubin_spark.kernels.separations import unit_vectors

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

TWILIGHT = -18.0  # [deg] of the Sun's altitude above which low satellites shine
_BELT = (-5.5, 16.0)  # [deg] declination of the geostationary ring from Palomar, and how far inclined ones swing
_SHADOW = 8.7  # [deg] radius of the Earth's shadow at the ring, 6378 / 42164 of a radian: nothing there is lit
_GLINT_REACH, _GLINT_DAYS, _GLINT_PARTNERS = 2.0, 10.0 / 1440.0, 2  # [deg, d]: a tumbling satellite flashes more than once


def vetoes(mjd: FloatArray, ra: FloatArray, dec: FloatArray) -> dict[str, Mask]:
    """Explanations by name: `twilight` (the Sun above -18 deg), `satellite` (in the geostationary ring and not in the Earth's shadow), `glint` (two
    others or more within 2 deg and 10 minutes).

    mjd [UTC], ra, dec [deg] : (N,) of all such events of a night
    """
    if len(mjd) == 0:
        nothing = np.zeros(0, bool)
        return {"twilight": nothing, "satellite": nothing, "glint": nothing}
    vectors, sunward = unit_vectors(ra, dec), -observer_positions(mjd)
    against = -np.sum(vectors * sunward, axis=1) / np.linalg.norm(sunward, axis=1)
    in_shadow = against > np.cos(np.radians(_SHADOW))
    in_belt = np.abs(np.asarray(dec) - _BELT[0]) < _BELT[1]
    near = cKDTree(vectors).query_pairs(2.0 * np.sin(np.radians(0.5 * _GLINT_REACH)), output_type="ndarray")
    near = near[np.abs(mjd[near[:, 0]] - mjd[near[:, 1]]) <= _GLINT_DAYS]
    partners = np.bincount(near.ravel(), minlength=len(mjd))
    return {"twilight": sun_altitudes(mjd) > TWILIGHT, "satellite": in_belt & ~in_shadow, "glint": partners >= _GLINT_PARTNERS}
