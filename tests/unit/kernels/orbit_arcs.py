"""Made-up bodies as a telescope would see them, for tests of orbits."""

from __future__ import annotations

import numpy as np

from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.orbit_fit import ARCSEC, Arcs
from deeprubin_spark.kernels.two_body import GM_SUN, KM_S, Elements, directions, propagate, states_of

EPOCH = 58450.0


def random_states(rng: np.random.Generator, n: int) -> np.ndarray:
    """Main-belt, near-Earth and distant bodies at EPOCH, all over the sky."""
    a, e = rng.uniform(1.2, 4.0, n), rng.uniform(0.0, 0.6, n)
    angles = (rng.uniform(0.0, 35.0, n), rng.uniform(0.0, 360.0, n), rng.uniform(0.0, 360.0, n))
    return states_of(Elements(a * (1.0 - e), e, *angles, rng.uniform(0.0, 365.25, n) * a**1.5))


def hyperbolic_states(rng: np.random.Generator, n: int) -> np.ndarray:
    """Bodies that come from afar at 10 to 70 km/s, within 3 au or so of the Sun."""
    q, v_inf = rng.uniform(0.3, 2.5, n), rng.uniform(10.0, 70.0, n) / KM_S
    angles = (np.degrees(np.arccos(rng.uniform(-1.0, 1.0, n))), rng.uniform(0.0, 360.0, n), rng.uniform(0.0, 360.0, n))
    return states_of(Elements(q, 1.0 + q * v_inf**2 / GM_SUN, *angles, rng.uniform(-70.0, 70.0, n)))


def times_of(nights: list[float], per_night: int = 2, minutes: float = 40.0) -> np.ndarray:
    return np.array([EPOCH + night + 0.3 + k * minutes / 1440.0 for night in nights for k in range(per_night)])


def arcs_of(states: np.ndarray, times: np.ndarray, sigma: float, rng: np.random.Generator) -> Arcs:
    """Every body at all the times, with noise of `sigma` [arcsec] on each axis; states at EPOCH."""
    n, m = len(states), len(times)
    observers = np.tile(observer_positions(times), (n, 1))
    seen = directions(np.repeat(states, m, axis=0), np.tile(times - EPOCH, n), observers)
    noise = rng.normal(0.0, sigma * ARCSEC, seen.shape)
    seen = seen + noise - np.sum(noise * seen, axis=1, keepdims=True) * seen
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    return Arcs(np.arange(n + 1) * m, np.tile(times, n), seen, observers, np.full(n * m, max(sigma, 0.01)))


def moved(states: np.ndarray, days: float) -> np.ndarray:
    return propagate(states, days)
