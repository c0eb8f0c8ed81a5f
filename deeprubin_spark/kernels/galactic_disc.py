"""How often stars explode at a place of a disc like the Milky Way's, and how far from its centre planets can both form and last.

Density of explosions in the midplane, each kind in an exponential disc that is `h` thick:

    R(r) = S_0 exp(-(r - r_0) / l) / (2 h)

S_0 is the surface rate at the Sun's distance r_0, l the scale length. The midplane is the worst place: stars that swing out of it meet fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

SUN_RADIUS_KPC = 8.2  # r_0 (Bland-Hawthorn & Gerhard 2016, arXiv:1602.07702)
SCALE_LENGTH_KPC = 2.6  # l of the thin disc (the same)
METALLICITY_GRADIENT = -0.062  # [dex/kpc] (Luck & Lambert 2011, Cepheids, arXiv:1108.1947)
LOCAL_STAR_DENSITY = 0.1  # [pc-3] stars near the Sun (about; Henry et al. 2018, 10 pc: 0.08 to 0.1)
# Core-collapse supernovae: 2.3 per millennium within 4 kpc of the Sun (van den Bergh & McClure 1994, ApJ 425, 205), in a layer as thick as that of O to B5
# stars (Maiz-Apellaniz 2001, arXiv:astro-ph/0101310): the two numbers of which 8 pc and 1.5 per Gyr (Gehrels et al. 2003) can be made.
CORE_COLLAPSE_WITHIN = 4.0, 2.3e-3  # [kpc], [yr-1]
CORE_COLLAPSE_HEIGHT_PC = 34.2
# Type Ia: 0.54 per century in the Galaxy (Li et al. 2011, arXiv:1006.4613), as thick as the thin disc (Bland-Hawthorn & Gerhard 2016).
TYPE_IA_TOTAL = 5.4e-3  # [yr-1]
TYPE_IA_HEIGHT_PC = 300.0
IBC_SHARE = 0.33  # [1] of core collapses, types Ib and Ic (Li et al. 2011)
INTERACTING_SHARE = 0.088  # [1] of core collapses, type IIn (Smith et al. 2011, arXiv:1006.3899)
RATE_DEX = 0.15  # [1] 1-sigma uncertainty of both rates: a factor of 1.4
_PC2_PER_KPC2 = 1e6
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class Layer:
    """Explosions of one kind.  surface_rate : [pc-2 yr-1] at the Sun's distance from the centre      height : [pc]      scale_length : [kpc]"""

    surface_rate: float
    height: float
    scale_length: float = SCALE_LENGTH_KPC

    def density(self, radius: ArrayLike) -> FloatArray:
        """R(r) [pc-3 yr-1] in the midplane, radius : [kpc] from the centre."""
        fall = np.exp(-(np.asarray(radius, np.float64) - SUN_RADIUS_KPC) / self.scale_length)
        return np.asarray(self.surface_rate * fall / (2.0 * self.height), np.float64)

    def total(self) -> float:
        """Explosions a year of the whole disc: S_0 exp(r_0 / l) 2 pi l^2."""
        length = self.scale_length
        return float(self.surface_rate * np.exp(SUN_RADIUS_KPC / length) * 2.0 * np.pi * length**2 * _PC2_PER_KPC2)


def of_total(rate: float, height: float, scale_length: float = SCALE_LENGTH_KPC) -> Layer:
    """The layer of `rate` [yr-1] explosions in the whole disc."""
    return Layer(rate / Layer(1.0, height, scale_length).total(), height, scale_length)


def of_neighbourhood(radius: float, rate: float, height: float, scale_length: float = SCALE_LENGTH_KPC) -> Layer:
    """The layer of `rate` [yr-1] explosions within `radius` [kpc] of the Sun, seen from above; ValueError where that circle reaches the centre."""
    if not 0.0 < radius < SUN_RADIUS_KPC:
        raise ValueError(f"radius: between 0 and {SUN_RADIUS_KPC} kpc expected, found {radius}")
    from_sun, angle = 0.5 * radius * (_NODES + 1.0), 0.5 * np.pi * (_NODES + 1.0)
    to_centre = np.sqrt(SUN_RADIUS_KPC**2 + from_sun[:, None] ** 2 - 2.0 * SUN_RADIUS_KPC * from_sun[:, None] * np.cos(angle))
    surface = np.exp(-(to_centre - SUN_RADIUS_KPC) / scale_length)
    area = 2.0 * (0.5 * radius * _WEIGHTS) @ (from_sun[:, None] * surface) @ (0.5 * np.pi * _WEIGHTS) * _PC2_PER_KPC2
    return Layer(float(rate / area), height, scale_length)


CORE_COLLAPSE = of_neighbourhood(*CORE_COLLAPSE_WITHIN, CORE_COLLAPSE_HEIGHT_PC)
TYPE_IA = of_total(TYPE_IA_TOTAL, TYPE_IA_HEIGHT_PC)


def density_of(kind: str, radius: ArrayLike) -> FloatArray:
    """R(r) [pc-3 yr-1] of explosions of a kind, SNIa, SNII, SNIbc or SNIIn (a part of SNII), at radius [kpc]; NaN for a kind without a Galactic rate."""
    shares = {"SNII": 1.0 - IBC_SHARE, "SNIbc": IBC_SHARE, "SNIIn": INTERACTING_SHARE}
    if kind == "SNIa":
        return TYPE_IA.density(radius)
    return np.asarray(shares.get(kind, np.nan) * CORE_COLLAPSE.density(radius), np.float64)


def metallicity(radius: ArrayLike) -> FloatArray:
    """[Fe/H] = gradient (r - r_0) [dex] at radius [kpc]: the Sun's own at the Sun's place."""
    return np.asarray(METALLICITY_GRADIENT * (np.asarray(radius, np.float64) - SUN_RADIUS_KPC), np.float64)


def planet_fraction(radius: ArrayLike) -> FloatArray:
    """f_metal [1]: how well terrestrial planets form and stay, by the metals at radius [kpc].

    f = min(max(1 + [Fe/H], 0), 1) (1 - min(0.03 10^(2 [Fe/H]), 1))

    The first factor is a ramp from none at a tenth of the Sun's metals to all at the Sun's (the form of Lineweaver 2001, arXiv:astro-ph/0012399, made
    simple), the second those that have no giant planet to drive them out (Fischer & Valenti 2005, ApJ 622, 1102).
    """
    iron = metallicity(radius)
    return np.asarray(np.clip(1.0 + iron, 0.0, 1.0) * (1.0 - np.minimum(0.03 * 10.0 ** (2.0 * iron), 1.0)), np.float64)


def star_density(radius: ArrayLike) -> FloatArray:
    """Stars [pc-3] in the midplane at radius [kpc], exponential like the thin disc, scaled to the Sun's surroundings."""
    fall = np.exp(-(np.asarray(radius, np.float64) - SUN_RADIUS_KPC) / SCALE_LENGTH_KPC)
    return np.asarray(LOCAL_STAR_DENSITY * fall, np.float64)
