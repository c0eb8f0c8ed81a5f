"""What was observed of many objects: measurements, upper limits, and what is known of the place on the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
class Observations:
    """Measurements, upper limits and context of the same B objects. ValueError where they are of different numbers of objects."""

    curves: LightCurves
    limits: UpperLimits
    context: Context

    def __post_init__(self) -> None:
        sizes = {
            "limits": len(self.limits.offsets) - 1,
            **{name: len(getattr(self.context, name)) for name in ("ra", "dec", "star_score", "star_distance")},
        }
        if set(sizes.values()) != {self.curves.n_objects}:
            raise ValueError(f"observations: {self.curves.n_objects} objects expected, found {sizes}")

    @classmethod
    def of_curves(cls, curves: LightCurves) -> Observations:
        """Measurements alone."""
        return cls(curves, UpperLimits.none(curves.n_objects), Context.unknown(curves.n_objects))
