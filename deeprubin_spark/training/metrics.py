"""How good class probabilities are, as the field reports it: N objects, C classes, probabilities (N, C) with rows that sum to 1, target (N,)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from deeprubin_spark.kernels.calibration import reliability

# Of the Kaggle challenge: tidal disruption events (PLAsTiCC target 15) and kilonovae (64) count twice.
KAGGLE_WEIGHTS: Mapping[str, float] = {"TDE": 2.0, "Kilonova": 2.0}
_SMALLEST = 1e-15

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Statistic = Callable[[FloatArray, IntArray], float]
Statistics = Callable[[FloatArray, IntArray], Mapping[str, float]]


def log_losses(probabilities: FloatArray, target: IntArray) -> FloatArray:
    """-ln p of the true class of each object [nat], p at least 1e-15 and rows made to sum to 1 again.  Returns (N,)."""
    clipped = np.clip(probabilities, _SMALLEST, None)
    losses: FloatArray = -np.log(clipped[np.arange(len(target)), target] / clipped.sum(axis=1))
    return losses


def kaggle_log_loss(probabilities: FloatArray, target: IntArray, classes: Sequence[str]) -> float:
    """Weighted log-loss of the PLAsTiCC challenge (Malz et al. 2019, arXiv:1809.11145; PLAsTiCC team 2018, arXiv:1810.00001).

    L = sum_j w_j mean_{i of class j} (-ln p_ij) / sum_j w_j,   w_j = 2 for TDE (15) and Kilonova (64), else 1

    Each class counts by its weight however many objects it has; classes without an object here are left out of both sums. The challenge's own class 99,
    of objects like none in the training set, is not among ours.
    """
    losses = log_losses(probabilities, target)
    counts = np.bincount(target, minlength=len(classes))
    weight = np.where(counts > 0, [KAGGLE_WEIGHTS.get(name, 1.0) for name in classes], 0.0)
    means = np.bincount(target, losses, minlength=len(classes)) / np.maximum(counts, 1)
    return float((weight * means).sum() / weight.sum())


def confusion(probabilities: FloatArray, target: IntArray) -> IntArray:
    """(C, C) counts: row true class, column most probable class."""
    n_classes = probabilities.shape[1]
    return np.bincount(target * n_classes + probabilities.argmax(axis=1), minlength=n_classes**2).reshape(n_classes, n_classes)


def metrics(probabilities: FloatArray, target: IntArray, classes: Sequence[str]) -> dict[str, float]:
    """log_loss, kaggle_log_loss, brier, accuracy, macro_f1, balanced_accuracy, ece, n_objects, and recall_<class> of each class that is there.

    Macro means are over the classes that have objects here. brier = mean_i sum_j (p_ij - y_ij)^2 (Brier 1950).
    """
    table = confusion(probabilities, target)
    there = table.sum(axis=1) > 0
    hits = np.diag(table).astype(np.float64)
    recall = hits / np.maximum(table.sum(axis=1), 1)
    f1 = 2.0 * hits / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    of_truth = np.zeros_like(probabilities)
    of_truth[np.arange(len(target)), target] = 1.0
    return {
        "n_objects": float(len(target)),
        "log_loss": float(log_losses(probabilities, target).mean()),
        "kaggle_log_loss": kaggle_log_loss(probabilities, target, classes),
        "brier": float(((probabilities - of_truth) ** 2).sum(axis=1).mean()),
        "accuracy": float(hits.sum() / len(target)),
        "balanced_accuracy": float(recall[there].mean()),
        "macro_f1": float(f1[there].mean()),
        "ece": reliability(probabilities, target).error,
        **{f"recall_{name}": float(recall[i]) for i, name in enumerate(classes) if there[i]},
    }


def accuracy(probabilities: FloatArray, target: IntArray) -> float:
    """Share of objects whose most probable class is the true one [1]."""
    return float((probabilities.argmax(axis=1) == target).mean())


def by_class(probabilities: FloatArray, target: IntArray, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """precision, recall, f1, auc (class against the rest), log_loss and n_objects of each class that has objects here.

    auc is NaN where all objects are of that class.
    """
    labels = np.arange(len(classes))
    best = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(target, best, labels=labels, zero_division=0.0)
    losses = log_losses(probabilities, target)
    found = {}
    for i in labels[support > 0]:
        is_class = target == i
        found[classes[i]] = {
            "n_objects": float(support[i]),
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "auc": float("nan") if is_class.all() else float(roc_auc_score(is_class, probabilities[:, i])),
            "log_loss": float(losses[is_class].mean()),
        }
    return found


def aucs(probabilities: FloatArray, target: IntArray) -> FloatArray:
    """(C,) area under the curve of each class against the rest, NaN where none or all objects are of it.

    AUC_c = (R_c - n_c (n_c + 1) / 2) / (n_c (N - n_c)),   R_c the sum of the ranks of p_c among the n_c objects of class c   (Mann & Whitney 1947)
    """
    n_objects, n_classes = probabilities.shape
    ranks = rankdata(probabilities, axis=0)[np.arange(n_objects), target]
    n = np.bincount(target, minlength=n_classes).astype(np.float64)
    above = np.bincount(target, ranks, minlength=n_classes) - n * (n + 1.0) / 2.0
    pairs = n * (n_objects - n)
    return np.divide(above, pairs, out=np.full(n_classes, np.nan), where=pairs > 0.0)


def figure_of_merit(probability: FloatArray, is_class: NDArray[np.bool_], threshold: float = 0.5) -> float:
    """Efficiency times pseudo-purity of a sample of one class, chosen by probability > threshold (Kessler et al. 2010, arXiv:1008.1024):

    FoM = TP^2 / (N_class (TP + 3 FP))        probability, is_class : (N,); 0 where nothing is chosen
    """
    chosen = probability > threshold
    true, false = float((chosen & is_class).sum()), float((chosen & ~is_class).sum())
    return true**2 / (float(is_class.sum()) * (true + 3.0 * false)) if true else 0.0


def bootstrap_interval(
    statistic: Statistic, probabilities: FloatArray, target: IntArray, *, seed: int, n_samples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a statistic over samples of the objects, as many as there are, with replacement (Efron 1979).

    statistic : (probabilities, target) -> number. One object is one unit: rows of copies or parts of an object must not be given apart.
    """
    told = bootstrap_intervals(lambda p, t: {"": statistic(p, t)}, probabilities, target, seed=seed, n_samples=n_samples, level=level)
    return told[""]


def bootstrap_intervals(
    statistics: Statistics, probabilities: FloatArray, target: IntArray, *, seed: int, n_samples: int = 1000, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """`bootstrap_interval` of several numbers at once, by name, over the same samples; where a sample has no such number, it is left out of that one's."""
    rng = np.random.default_rng(seed)
    values: dict[str, list[float]] = {}
    for _ in range(n_samples):
        rows = rng.integers(0, len(target), len(target))
        for name, value in statistics(probabilities[rows], target[rows]).items():
            values.setdefault(name, []).append(value)
    known = {name: np.asarray(drawn)[np.isfinite(drawn)] for name, drawn in values.items()}
    quantiles = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    found = {name: np.quantile(drawn, quantiles) if len(drawn) else np.full(2, np.nan) for name, drawn in known.items()}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def paired_difference(
    first: FloatArray, second: FloatArray, *, seed: int, n_samples: int = 10_000, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean of first - second over the same objects, and its bootstrap interval: whether one classifier is better where both saw the same.

    first, second : (N,) losses of two classifiers, object by object. Returns (mean, low, high).
    """
    difference = first - second
    rng = np.random.default_rng(seed)
    means = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(n_samples)]
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(difference.mean()), float(low), float(high)
