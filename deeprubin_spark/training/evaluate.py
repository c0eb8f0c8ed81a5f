"""How good class probabilities are on objects the network never saw, and the one number that calibrates them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

N_BINS = 15
TEMPERATURES = (0.2, 5.0)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def metrics(probabilities: FloatArray, target: IntArray, classes: tuple[str, ...]) -> dict[str, float]:
    """log_loss, accuracy, macro_f1, balanced_accuracy, ece, n_objects, and recall_<class> of each class that is there.

    probabilities (N, C), rows sum to 1; target (N,). Macro means are over the classes that have objects here.
    """
    table = confusion(probabilities, target)
    there = table.sum(axis=1) > 0
    hits = np.diag(table).astype(np.float64)
    recall = hits / np.maximum(table.sum(axis=1), 1)
    f1 = 2.0 * hits / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    of_target = probabilities[np.arange(len(target)), target]
    return {
        "n_objects": float(len(target)),
        "log_loss": float(-np.log(np.maximum(of_target, 1e-15)).mean()),
        "accuracy": float(hits.sum() / len(target)),
        "balanced_accuracy": float(recall[there].mean()),
        "macro_f1": float(f1[there].mean()),
        "ece": expected_calibration_error(probabilities, target),
        **{f"recall_{name}": float(recall[i]) for i, name in enumerate(classes) if there[i]},
    }


def confusion(probabilities: FloatArray, target: IntArray) -> IntArray:
    """(C, C) counts: row true class, column most probable class."""
    n_classes = probabilities.shape[1]
    return np.bincount(target * n_classes + probabilities.argmax(axis=1), minlength=n_classes**2).reshape(n_classes, n_classes)


def expected_calibration_error(probabilities: FloatArray, target: IntArray) -> float:
    """Mean |accuracy - confidence| over 15 bins of equally many objects by confidence (Guo et al. 2017, arXiv:1706.04599) [1]."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == target
    bins = np.array_split(np.argsort(confidence, kind="stable"), N_BINS)
    return float(sum(abs(correct[b].mean() - confidence[b].mean()) * len(b) for b in bins if len(b)) / len(target))


def temperature(logits: FloatArray, target: IntArray) -> float:
    """T that minimises the log-loss of softmax(logits / T) on a fold that was not trained on (Guo et al. 2017).  logits (N, C), target (N,)."""

    def log_loss(log_t: float) -> float:
        return float(-log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(target)), target].mean())

    found = minimize_scalar(log_loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))
