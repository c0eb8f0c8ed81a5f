"""Class probabilities that mean what they say: how far off they are, what mends them, and sets of classes that hold the truth as often as promised.

Everything is fitted on objects that the classifier was not trained on. N objects, C classes; the rows of `probabilities` (N, C) sum to 1 and
target (N,) is the column of the true class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import beta

N_BINS = 15
N_BINS_OF_CLASS = 10
TEMPERATURES = (0.2, 5.0)
_SHIFT_STEPS = 2000
_SHIFT_TOLERANCE = 1e-9

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Reliability:
    """K bins of equally many objects by confidence, the highest probability of an object.

    confidence, accuracy : (K,) means of the bin [1]      low, high : (K,) 95 % interval of the accuracy      n_objects : (K,)
    """

    confidence: FloatArray
    accuracy: FloatArray
    low: FloatArray
    high: FloatArray
    n_objects: IntArray

    @property
    def error(self) -> float:
        """Expected calibration error: sum_k n_k / N |accuracy_k - confidence_k|  (Guo et al. 2017, arXiv:1706.04599) [1]."""
        return float(np.sum(self.n_objects * np.abs(self.accuracy - self.confidence)) / self.n_objects.sum())


def reliability(probabilities: FloatArray, target: IntArray, n_bins: int = N_BINS) -> Reliability:
    """How often the most probable class is the true one, by confidence.

    The interval is `binomial_interval`. Bins that would be empty are left out. ValueError for N = 0.
    """
    if len(target) == 0:
        raise ValueError("reliability: at least one object expected, found none")
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    bins = [b for b in np.array_split(np.argsort(confidence, kind="stable"), n_bins) if len(b)]
    n = np.array([len(b) for b in bins], np.int64)
    hits = np.array([correct[b].sum() for b in bins], np.int64)
    return Reliability(np.array([confidence[b].mean() for b in bins]), hits / n, *binomial_interval(hits, n), n)


def reliability_of_class(probability: FloatArray, is_class: NDArray[np.bool_], n_bins: int = N_BINS_OF_CLASS) -> Reliability:
    """How often objects are of a class, by the probability that they are: bins of equal width in it, for most objects have one near 0.

    probability, is_class : (N,). Empty bins are left out. ValueError for N = 0.
    """
    if len(probability) == 0:
        raise ValueError("reliability of a class: at least one object expected, found none")
    place = np.minimum((probability * n_bins).astype(np.int64), n_bins - 1)
    n = np.bincount(place, minlength=n_bins)
    used = n > 0
    n, hits = n[used], np.bincount(place, is_class, minlength=n_bins)[used].astype(np.int64)
    confidence = np.bincount(place, probability, minlength=n_bins)[used] / n
    return Reliability(confidence, hits / n, *binomial_interval(hits, n), n)


def binomial_interval(hits: IntArray, n: IntArray) -> tuple[FloatArray, FloatArray]:
    """95 % interval of a share of which `hits` of `n` were seen (Clopper & Pearson 1934, Biometrika 26, 404): it holds for any number, from 1 on."""
    hits, n = np.asarray(hits), np.asarray(n)
    low = np.where(hits == 0, 0.0, beta.ppf(0.025, np.maximum(hits, 1), n - hits + 1))
    high = np.where(hits == n, 1.0, beta.ppf(0.975, hits + 1, np.maximum(n - hits, 1)))
    return low, high


def temperature(logits: FloatArray, target: IntArray, weight: FloatArray | None = None) -> float:
    """T that minimises the log-loss of the probabilities on a fold that was not trained on (Guo et al. 2017, arXiv:1706.04599).

    p = mean_k softmax(logits_k / T), made those of other class shares by `reweighted`        logits : (K, N, C), K draws      weight : (C,) or none
    """

    def log_loss(log_t: float) -> float:
        p = np.exp(log_softmax(logits / np.exp(log_t), axis=2)).mean(axis=0)
        chosen = (p if weight is None else reweighted(p, weight))[np.arange(len(target)), target]
        return float(-np.log(np.maximum(chosen, 1e-15)).mean())

    found = minimize_scalar(log_loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def label_shift(probabilities: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Class shares of the objects at hand, which need no labels, and their probabilities with these shares in place of the training set's.

    p'_ij = (q_j / prior_j) p_ij / sum_k (q_k / prior_k) p_ik,   q_j = mean_i p'_ij,   from q = prior until q rests

    (expectation maximisation, Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21). It holds where only the shares differ between
    training set and sky, not the look of a class. prior : (C,) shares to which `probabilities` are calibrated; a class of share 0 stays at 0.
    Returns q (C,) and p' (N, C). ValueError where the prior is not one share a class.
    """
    if prior.shape != (probabilities.shape[1],) or np.any(prior < 0.0) or not np.isclose(prior.sum(), 1.0):
        raise ValueError(f"label shift: {probabilities.shape[1]} shares that sum to 1 expected, found {prior}")
    inverse = np.divide(1.0, prior, out=np.zeros_like(prior), where=prior > 0.0)
    shares, corrected = prior, probabilities
    for _ in range(_SHIFT_STEPS if len(probabilities) else 0):
        corrected = reweighted(probabilities, shares * inverse)
        before, shares = shares, corrected.mean(axis=0)
        if np.abs(shares - before).max() < _SHIFT_TOLERANCE:
            break
    return shares, corrected


def reweighted(probabilities: FloatArray, weight: FloatArray) -> FloatArray:
    """p_ij w_j / sum_k p_ik w_k: probabilities under other class shares; weight (C,) new share over old. A row without any weight stays as it is."""
    raised = probabilities * weight
    total = raised.sum(axis=1, keepdims=True)
    return np.where(total > 0.0, raised / np.where(total > 0.0, total, 1.0), probabilities)


def conformal_scores(probabilities: FloatArray, u: FloatArray) -> FloatArray:
    """Score of each class of each object (N, C): how much probability comes before it, and a share of its own.

    s_ij = sum_{k: p_ik > p_ij} p_ik + u_i p_ij        (adaptive prediction sets, Romano, Sesia & Candes 2020, arXiv:2006.02544)

    u : (N,) uniform in [0, 1], without which sets would hold the truth more often than promised. Equal probabilities keep the order of classes.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    scores = np.empty_like(probabilities)
    np.put_along_axis(scores, order, before + u[:, None] * ranked, axis=1)
    return scores


def conformal_threshold(scores: FloatArray, target: IntArray, coverage: float, weight: FloatArray | None = None) -> float:
    """The smallest score s of the true classes of n calibration objects with  sum_{s_i <= s} w_i >= coverage (sum_i w_i + max_i w_i);  infinite where
    there is none, as where n is too small for the coverage.

    weight : (n,) how much more frequent objects of its class are where the sets are used (Podkopaev & Ramdas 2021, arXiv:2103.03323); None: as frequent,
    and s the ceil((n + 1) coverage)-th smallest
    """
    of_truth = scores[np.arange(len(target)), target]
    weight = np.ones(len(of_truth)) if weight is None else weight
    order = np.argsort(of_truth, kind="stable")
    reached = np.cumsum(weight[order]) >= coverage * (weight.sum() + weight.max(initial=0.0)) - 1e-9
    return float(of_truth[order[np.argmax(reached)]]) if reached.any() else float("inf")


def conformal_sets(probabilities: FloatArray, scores: FloatArray, threshold: float) -> NDArray[np.bool_]:
    """Classes that cannot be excluded (N, C): those whose score is at most the threshold, and the most probable one, so that no set is empty."""
    sets = scores <= threshold
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets
