"""How many events there could have been where some were counted: limits of a Poisson mean, for plain and for weighted counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

ONE_SIGMA = 0.8413447460685429  # one-sided confidence of one standard deviation of a normal distribution, which Gehrels tabulates as S = 1


def limits(counts: ArrayLike, confidence: float = ONE_SIGMA) -> tuple[FloatArray, FloatArray]:
    """Lower and upper limit of the mean, each at a one-sided `confidence` [1], of `counts` n >= 0 of any shape.

    lambda_u = chi2.ppf(CL, 2 n + 2) / 2,   lambda_l = chi2.ppf(1 - CL, 2 n) / 2, 0 where n = 0        (Gehrels 1986, ApJ 303, 336, equations 1 and 2)

    n may be a fraction (an effective number of events). ValueError where the confidence is not between 0 and 1 or a count is below 0.
    """
    from scipy.special import gammaincinv  # chi2.ppf(p, 2 k) / 2 = gammaincinv(k, p); scipy.stats takes a second to import

    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: a number between 0 and 1 expected, found {confidence}")
    n = np.asarray(counts, np.float64)
    if np.any(n < 0.0):
        raise ValueError(f"counts: numbers not below 0 expected, found {n.min()}")
    upper = gammaincinv(n + 1.0, confidence)
    lower = np.where(n > 0.0, gammaincinv(np.where(n > 0.0, n, 1.0), 1.0 - confidence), 0.0)
    return np.asarray(lower, np.float64), np.asarray(upper, np.float64)


def weighted_limits(weights: ArrayLike, squared: ArrayLike, confidence: float = ONE_SIGMA) -> tuple[FloatArray, FloatArray]:
    """The same of a sum of weights W = sum w_i, with V = sum w_i^2: the limits of n_eff = W^2 / V events of the equal weight V / W each.

    Of weights 1 these are `limits`; of none, the upper limit is that of no event of weight 1 (a zero has no weight of its own).
    After Bohm & Zech 2014 (NIM A 748, 1), who approximate a sum of weighted events by a scaled Poisson number of the same mean and variance.
    """
    total, second = np.asarray(weights, np.float64), np.asarray(squared, np.float64)
    has_any = (total > 0.0) & (second > 0.0)
    scale = np.where(has_any, second / np.where(has_any, total, 1.0), 1.0)
    lower, upper = limits(np.where(has_any, total / scale, 0.0), confidence)
    return scale * lower, scale * upper
