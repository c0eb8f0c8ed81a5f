"""Random numbers that are a function of their counters alone: any part of a simulation can be made anywhere, in any order.

splitmix64 (Steele, Lea & Flood 2014, OOPSLA): number c of the stream with seed k is mix(k + (c + 1) gamma). A key of several counters is made by taking
each number as the seed of the next stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT = np.uint64(31)
_ONE = np.uint64(1)
_HALF_WORD = np.uint64(32)
_LOW_WORD = np.uint64(0xFFFFFFFF)

Keys = NDArray[np.uint64]
FloatArray = NDArray[np.float64]


def keys(seed: ArrayLike, *counters: ArrayLike) -> Keys:
    """Random 64-bit words, one for each element of the arrays together; they are the keys of further draws.

    seed : integer >= 0 or keys      counters : integers >= 0 or arrays of them; all broadcast to one shape of one dimension or more, the result's
    """
    words = np.atleast_1d(seed).astype(np.uint64)
    for counter in counters:
        words = _mixed(words + (np.atleast_1d(counter).astype(np.uint64) + _ONE) * _GAMMA)
    return words


def uniforms(words: Keys) -> FloatArray:
    """Uniform numbers in (0, 1): (floor(w / 2^11) + 1/2) / 2^53.  words : any shape, the result's too."""
    numbers: FloatArray = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers


def normals(words: Keys) -> tuple[FloatArray, FloatArray]:
    """Two independent standard normal numbers of each word (Box & Muller 1958), from its upper and its lower 32 bits; none is beyond 6.8.

    z1 = r cos(2 pi v),   z2 = r sin(2 pi v),   r = sqrt(-2 ln u)
    """
    u = ((words >> _HALF_WORD).astype(np.float64) + 0.5) * 2.0**-32
    angle = (words & _LOW_WORD).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    radius = np.sqrt(-2.0 * np.log(u))
    return radius * np.cos(angle), radius * np.sin(angle)


def _mixed(words: Keys) -> Keys:
    for shift, factor in _MIX:
        words = (words ^ (words >> shift)) * factor
    mixed: Keys = words ^ (words >> _LAST_SHIFT)
    return mixed
