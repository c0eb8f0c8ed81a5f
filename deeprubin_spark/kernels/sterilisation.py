"""How near an explosion must be to end the ozone layer of a planet like the Earth, and how likely a star is to be that near to one.

    F = E / (4 pi d^2),   d_crit = sqrt(E / (4 pi F_crit)) = 9.14 pc (E / 10^48 erg)^1/2 (F_crit / 10^8 erg cm^-2)^-1/2

E is the energy in what ionises an atmosphere, not that of the explosion. F_crit = 10^8 erg cm^-2 = 100 kJ m^-2 takes away about a third of the ozone
(Thomas et al. 2005, ApJ 634, 509; Melott & Thomas 2011, arXiv:1102.2830).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deeprubin_spark.kernels.counter_random import keys, normals

FloatArray = NDArray[np.float64]

CENTIMETRES_PER_PARSEC = 3.0856775814913673e18
CRITICAL_FLUENCE = 1e8  # [erg cm-2]
CRITICAL_FLUENCE_DEX = 0.3  # its uncertainty: a factor of 2 either way, between atmospheres and between what counts as lethal
_LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class Hazards:
    """K kinds of explosions, arrays (K,); `dex` are 1-sigma uncertainties of the decimal logarithm, the same for all explosions of a kind.

    energy : [erg] that ionises      energy_dex : [1]
    """

    energy: FloatArray
    energy_dex: FloatArray


def fluence(energy: ArrayLike, distance: ArrayLike) -> FloatArray:
    """F = E / (4 pi d^2) [erg cm-2] of energies [erg] at distances [pc]."""
    length = np.asarray(distance, np.float64) * CENTIMETRES_PER_PARSEC
    return np.asarray(np.asarray(energy, np.float64) / (4.0 * np.pi * length**2), np.float64)


def critical_distance(energy: ArrayLike, critical_fluence: ArrayLike = CRITICAL_FLUENCE) -> FloatArray:
    """d_crit [pc] of energies [erg]: as far as the fluence is at least critical [erg cm-2]."""
    square = np.asarray(energy, np.float64) / (4.0 * np.pi * np.asarray(critical_fluence, np.float64))
    return np.asarray(np.sqrt(square) / CENTIMETRES_PER_PARSEC, np.float64)


def energy_of(distance: ArrayLike, critical_fluence: ArrayLike = CRITICAL_FLUENCE) -> FloatArray:
    """Energy [erg] whose critical distance is `distance` [pc]: what a published lethal distance means at our critical fluence."""
    length = np.asarray(distance, np.float64) * CENTIMETRES_PER_PARSEC
    return np.asarray(4.0 * np.pi * length**2 * np.asarray(critical_fluence, np.float64), np.float64)


def critical_distance_dex(energy_dex: ArrayLike, fluence_dex: float = CRITICAL_FLUENCE_DEX) -> FloatArray:
    """1-sigma uncertainty [dex] of d_crit: half that of E / F_crit."""
    return np.asarray(0.5 * np.hypot(np.asarray(energy_dex, np.float64), fluence_dex), np.float64)


def stars_inside(distance: ArrayLike, density: ArrayLike) -> FloatArray:
    """(4/3) pi d^3 n, stars within `distance` [pc] at a density [pc-3]."""
    return np.asarray(4.0 / 3.0 * np.pi * np.asarray(distance, np.float64) ** 3 * np.asarray(density, np.float64), np.float64)


def kill_probability(rates: ArrayLike, distances: ArrayLike, years: float) -> FloatArray:
    """Probability 1 - exp(-sum_k R_k (4/3) pi d_k^3 T) that at least one explosion of any of K kinds is within its critical distance in T years.

    rates : (..., K) [pc-3 yr-1]      distances : (..., K) [pc]. Returns (...) [1].
    """
    expected = stars_inside(distances, rates).sum(axis=-1) * years
    return np.asarray(-np.expm1(-expected), np.float64)


def kill_draws(rates: FloatArray, rate_dex: FloatArray, hazards: Hazards, years: float, n_draws: int, seed: int) -> FloatArray:
    """`kill_probability` under D draws of what is not known: each kind's energy and rate, and the critical fluence, log-normal about their medians.

    rates : (R, K) [pc-3 yr-1] at R places      rate_dex : (K,). A draw is of one world: the same at all places. Returns (D, R) [1].
    """
    n_kinds = len(hazards.energy)
    z_energy, z_rate = normals(keys(seed, np.arange(n_draws)[:, None], np.arange(n_kinds)[None, :]))
    z_fluence, _ = normals(keys(seed, np.arange(n_draws)[:, None], n_kinds))
    energy = hazards.energy * 10.0 ** (z_energy * hazards.energy_dex)
    critical = CRITICAL_FLUENCE * 10.0 ** (z_fluence * CRITICAL_FLUENCE_DEX)
    distances = critical_distance(energy, critical)
    drawn_rates = rates[None, :, :] * (10.0 ** (z_rate * rate_dex))[:, None, :]
    return kill_probability(drawn_rates, distances[:, None, :], years)


def mean_number(rates: ArrayLike, rate_dex: ArrayLike, hazards: Hazards, years: float) -> FloatArray:
    """Mean over the same unknowns of the number of explosions within their critical distances, in closed form.

    sum_k R_k (4/3) pi d_k^3 T exp(v_k / 2),   v_k = (ln 10)^2 (s_R^2 + (3/2)^2 (s_E^2 + s_F^2))        (log-normal; d^3 goes as (E / F)^(3/2))

    rates : (..., K). Returns (...) [1].
    """
    variance = _LN10**2 * (np.asarray(rate_dex, np.float64) ** 2 + 2.25 * (hazards.energy_dex**2 + CRITICAL_FLUENCE_DEX**2))
    at_median = stars_inside(critical_distance(hazards.energy), rates) * years
    return np.asarray((at_median * np.exp(0.5 * variance)).sum(axis=-1), np.float64)
