"""What was observed of many objects: measurements, upper limits, and what is known of the place on the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.host_features import Hosts
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves
from deeprubin_spark.kernels.upper_limits import UpperLimits


@dataclass(frozen=True)
class Context:
    """Where B objects are: (B,) float64 each, NaN where unknown.

    ra, dec : [deg, J2000]      star_score : [1] star (1) or galaxy (0) score of the nearest PS1 source      star_distance : [arcsec] to it
    """

    ra: FloatArray
    dec: FloatArray
    star_score: FloatArray
    star_distance: FloatArray

    @classmethod
    def unknown(cls, n_objects: int) -> Context:
        """Nothing known of so many objects."""
        nothing = np.full(n_objects, np.nan)
        return cls(nothing, nothing, nothing, nothing)


@dataclass(frozen=True)
class History:
    """When the measurements became known, and the periods found before.

    known_night : (N,) int32, days since any epoch, of each measurement      cached_period : (B, K) in the order of the feature set's group
    `period`, from an earlier row of each object; used where its `period_n_known` is what was known on the night the period is due. NaN without.
    """

    known_night: NDArray[np.integer]
    cached_period: FloatArray


@dataclass(frozen=True)
class Observations:
    """Measurements, upper limits, context, history and hosts of the same B objects. ValueError where their numbers do not agree.

    Without history all measurements became known at once, and no period is known; without hosts nothing is known of them.
    """

    curves: LightCurves
    limits: UpperLimits
    context: Context
    history: History | None = None
    hosts: Hosts | None = None

    def __post_init__(self) -> None:
        sizes = {
            "limits": len(self.limits.offsets) - 1,
            **{name: len(getattr(self.context, name)) for name in ("ra", "dec", "star_score", "star_distance")},
        }
        if self.history is not None:
            sizes["cached_period"] = len(self.history.cached_period)
            if len(self.history.known_night) != len(self.curves.mjd):
                raise ValueError(f"observations: {len(self.curves.mjd)} nights expected, found {len(self.history.known_night)}")
        if self.hosts is not None:
            sizes["hosts"] = len(self.hosts.photo_z)
        if set(sizes.values()) != {self.curves.n_objects}:
            raise ValueError(f"observations: {self.curves.n_objects} objects expected, found {sizes}")

    @classmethod
    def of_curves(cls, curves: LightCurves) -> Observations:
        """Measurements alone."""
        return cls(curves, UpperLimits.none(curves.n_objects), Context.unknown(curves.n_objects))
