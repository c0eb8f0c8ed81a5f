"""Random numbers by counter: splitmix64 as published, and numbers that do not know what was drawn beside them."""

from __future__ import annotations

import numpy as np
from scipy import stats

from deeprubin_spark.kernels import counter_random as random


def splitmix64(seed: int, n: int) -> list[int]:
    """The published generator, in Python's whole numbers (Steele, Lea & Flood 2014; Vigna's splitmix64.c)."""
    mask, numbers = 2**64 - 1, []
    for _ in range(n):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        numbers.append(z ^ (z >> 31))
    return numbers


def test_the_words_are_those_of_splitmix64():
    assert random.keys(1234567, np.arange(5)).tolist() == splitmix64(1234567, 5)
    assert splitmix64(1234567, 2) == [6457827717110365317, 3203168211198807973]  # reference output of splitmix64.c


def test_a_number_does_not_depend_on_the_numbers_drawn_with_it():
    together = random.normals(random.keys(7, np.arange(1000)[:, None], np.arange(8)))
    for i in (0, 13, 999):
        alone = random.normals(random.keys(7, i, np.arange(8)))
        assert all(np.array_equal(a, b[i]) for a, b in zip(alone, together, strict=True))


def test_uniforms_are_uniform_and_normals_normal_and_the_two_of_a_word_independent():
    words = random.keys(3, np.arange(100_000))
    uniform, (first, second) = random.uniforms(words), random.normals(words)
    assert uniform.min() > 0.0 and uniform.max() < 1.0
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    for values in (first, second):
        assert stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.015
    assert np.isfinite(random.normals(np.array([0, 2**64 - 1], np.uint64))).all()


def test_neighbouring_keys_have_nothing_in_common():
    words = random.keys(3, np.arange(2000)[:, None], np.arange(2))
    assert len(np.unique(words)) == words.size
    assert abs(np.corrcoef(random.uniforms(words).T)[0, 1]) < 0.1
