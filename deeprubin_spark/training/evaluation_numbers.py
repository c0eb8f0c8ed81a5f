"""What an evaluation says of a model, from its probabilities and the truth: every number of the page, as plain dictionaries for JSON.

Estimates are {value, low, high}: the number, and its 95 % interval over samples of the objects with replacement. None stands where there is none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels import calibration
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.metrics import accuracy, aucs, bootstrap_intervals, by_class, confusion, log_losses, metrics

N_SAMPLES = 300
COVERAGE = 0.9  # [1] promised to the conformal sets
N_GROUPS = 5  # of magnitude, and of the number of points
FEWEST_OF_CLASS = 20  # objects of a class for a reliability diagram of its own
_SEED = 0
_IA = CLASS_NAMES.index("SNIa")
_HEADLINE = ("kaggle_log_loss", "log_loss", "macro_f1", "accuracy", "balanced_accuracy", "brier")
_OF_CLASS = ("precision", "recall", "f1", "auc", "log_loss")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Told = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """N curves with a prediction: probabilities (N, C), target (N,) place in the taxonomy, and of the whole curve snr [1], magnitude [AB mag], n_points.

    magnitude : NaN where no flux is positive      is_outside : (N,) whether the features lie outside what the model was trained on
    """

    object_id: NDArray[np.str_]
    probabilities: FloatArray
    target: IntArray
    snr: FloatArray
    magnitude: FloatArray
    n_points: FloatArray
    is_outside: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[Any]) -> Judged:
        """The named rows, or those of a mask, in that order."""
        return Judged(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def scores(judged: Judged) -> tuple[Told, dict[str, Told]]:
    """The headline numbers, and those of each class that has objects here. ece has no interval: that of a sample with replacement is biased upwards."""
    p, target = judged.probabilities, judged.target
    values, of_class = metrics(p, target, CLASS_NAMES), by_class(p, target, CLASS_NAMES)
    intervals = bootstrap_intervals(_statistics, p, target, seed=_SEED, n_samples=N_SAMPLES)
    values["macro_auc"] = _statistics(p, target)["macro_auc"]
    headline = {name: estimate(values[name], intervals.get(name)) for name in (*_HEADLINE, "macro_auc")}
    headline["ece"] = estimate(values["ece"], None)
    classes: dict[str, Told] = {}
    for name, numbers in of_class.items():
        told = {which: estimate(numbers[which], intervals.get(f"{which} {name}")) for which in _OF_CLASS}
        classes[name] = {"n_objects": int(numbers["n_objects"]), **told}
    return headline, classes


def confusion_of(judged: Judged) -> Told:
    """Counts of true class (rows, those that are there) by most probable class (all)."""
    table = confusion(judged.probabilities, judged.target) if len(judged) else np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    rows = {name: table[i].tolist() for i, name in enumerate(CLASS_NAMES) if table[i].any()}
    return {"n_judged": len(judged), "columns": list(CLASS_NAMES), "rows": rows}


def early(judged: Judged) -> Told:
    """Macro-F1, accuracy, and purity and completeness of type Ia by the most probable class, of curves cut at one time."""
    if not len(judged):
        return {"n_judged": 0}
    values = _early_statistics(judged.probabilities, judged.target)
    intervals = bootstrap_intervals(_early_statistics, judged.probabilities, judged.target, seed=_SEED, n_samples=N_SAMPLES)
    n_ia = int((judged.target == _IA).sum())
    return {"n_judged": len(judged), "n_ia": n_ia, **{name: estimate(value, intervals[name]) for name, value in values.items()}}


def reliabilities(judged: Judged) -> dict[str, Told]:
    """'all': by the highest probability; and by the probability of each class with at least FEWEST_OF_CLASS objects."""
    found = {"all": _reliability(calibration.reliability(judged.probabilities, judged.target))}
    for i in np.flatnonzero(np.bincount(judged.target, minlength=len(CLASS_NAMES)) >= FEWEST_OF_CLASS):
        found[CLASS_NAMES[i]] = _reliability(calibration.reliability_of_class(judged.probabilities[:, i], judged.target == i))
    return found


def conformal(judged: Judged) -> Told:
    """Sets of classes that hold the truth as often as promised: the threshold from one half of the objects, by the hash of their ids, tried on the other.

    Groups: all of the other half, then its thirds by signal-to-noise, for which nothing is promised. {} where a half is empty.
    """
    numbers = np.array([_hash(name) for name in judged.object_id], np.uint64)
    u = ((numbers >> np.uint64(1)) / 2.0**63).astype(np.float64)
    is_half = (numbers & np.uint64(1)).astype(np.bool_)
    if not is_half.any() or is_half.all():
        return {}
    score = calibration.conformal_scores(judged.probabilities, u)
    threshold = calibration.conformal_threshold(score[is_half], judged.target[is_half], COVERAGE)
    other, sets = judged.take(~is_half), calibration.conformal_sets(judged.probabilities[~is_half], score[~is_half], threshold)
    covered, size = sets[np.arange(len(other)), other.target], sets.sum(axis=1)
    groups = [_coverage("all", np.arange(len(other)), covered, size, other.snr)]
    for name, rows in zip(("low S/N", "middle S/N", "high S/N"), np.array_split(np.argsort(other.snr, kind="stable"), 3), strict=True):
        if len(rows):
            groups.append(_coverage(name, rows, covered, size, other.snr))
    return {"promised": COVERAGE, "n_calibration": int(is_half.sum()), "threshold": number(threshold), "groups": groups}


def abstention(judged: Judged) -> list[Told]:
    """Accuracy and macro-F1 of the share of objects with the highest confidence, 5 % to all."""
    order = np.argsort(-judged.probabilities.max(axis=1), kind="stable")
    found = []
    for share in np.arange(1, 21) / 20.0:
        n_kept = max(1, round(share * len(order)))
        kept = judged.take(order[:n_kept])
        told = metrics(kept.probabilities, kept.target, CLASS_NAMES)
        least = kept.probabilities.max(axis=1).min()
        found.append(
            {
                "share": number(share),
                "n": n_kept,
                "confidence": number(least),
                "accuracy": number(told["accuracy"]),
                "macro_f1": number(told["macro_f1"]),
            }
        )
    return found


def by_quantity(judged: Judged, values: FloatArray) -> Told:
    """Accuracy and macro-F1 in groups of equally many objects by a number of each (N,); those without it are counted apart."""
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    groups = []
    for rows in np.array_split(order, N_GROUPS):
        if len(rows):
            part = judged.take(rows)
            told = {"from": number(values[rows].min()), "to": number(values[rows].max()), "n": len(rows), "accuracy": accuracy_of(part)}
            groups.append({**told, "macro_f1": number(metrics(part.probabilities, part.target, CLASS_NAMES)["macro_f1"])})
    return {"n_unknown": len(values) - len(known), "groups": groups}


def accuracy_of(judged: Judged) -> Told | None:
    """Accuracy with its binomial interval; None of no object."""
    if not len(judged):
        return None
    hits = int((judged.probabilities.argmax(axis=1) == judged.target).sum())
    low, high = calibration.binomial_interval(np.array([hits]), np.array([len(judged)]))
    return estimate(hits / len(judged), (float(low[0]), float(high[0])))


def estimate(value: float, interval: tuple[float, float] | None) -> Told:
    """{value, low, high}; low and high None without an interval."""
    low, high = interval or (float("nan"), float("nan"))
    return {"value": number(value), "low": number(low), "high": number(high)}


def number(value: float) -> float | None:
    """For JSON: six decimals, None for what is not finite."""
    return round(float(value), 6) if np.isfinite(value) else None


def _statistics(p: FloatArray, target: IntArray) -> Mapping[str, float]:
    """Everything that gets an interval: the headline numbers, and '<which> <class>'."""
    told = metrics(p, target, CLASS_NAMES)
    area = aucs(p, target)
    found = {name: told[name] for name in _HEADLINE} | {"macro_auc": float(np.nanmean(area)) if np.isfinite(area).any() else float("nan")}
    of_class = _of_classes(p, target)
    for i, name in enumerate(CLASS_NAMES):
        if (target == i).any():
            found |= {f"{which} {name}": float(of_class[which][i]) for which in ("precision", "recall", "f1", "log_loss")} | {
                f"auc {name}": float(area[i])
            }
    return found


def _of_classes(p: FloatArray, target: IntArray) -> dict[str, FloatArray]:
    """precision, recall, f1, log_loss (C,) as `metrics.by_class` has them, but 0 for a class that is not there: quick, for hundreds of samples."""
    table = confusion(p, target).astype(np.float64)
    hits, true, given = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    return {
        "precision": hits / np.maximum(given, 1.0),
        "recall": hits / np.maximum(true, 1.0),
        "f1": 2.0 * hits / np.maximum(true + given, 1.0),
        "log_loss": np.bincount(target, log_losses(p, target), minlength=len(table)) / np.maximum(true, 1.0),
    }


def _early_statistics(p: FloatArray, target: IntArray) -> Mapping[str, float]:
    of_class, best = _of_classes(p, target), p.argmax(axis=1)
    return {
        "macro_f1": float(of_class["f1"][np.unique(target)].mean()),
        "accuracy": accuracy(p, target),
        "ia_purity": float(of_class["precision"][_IA]) if (best == _IA).any() else float("nan"),
        "ia_completeness": float(of_class["recall"][_IA]) if (target == _IA).any() else float("nan"),
    }


def _reliability(found: calibration.Reliability) -> Told:
    named: dict[str, Sequence[float]] = {
        name: [round(float(v), 6) for v in getattr(found, name)] for name in ("confidence", "accuracy", "low", "high")
    }
    return {**named, "n_objects": found.n_objects.tolist(), "error": number(found.error)}


def _coverage(name: str, rows: IntArray, covered: NDArray[np.bool_], size: IntArray, snr: FloatArray) -> Told:
    n, hits = len(rows), int(covered[rows].sum())
    low, high = calibration.binomial_interval(np.array([hits]), np.array([n]))
    return {
        "name": name,
        "n": n,
        "snr_from": number(snr[rows].min()),
        "snr_to": number(snr[rows].max()),
        "coverage": estimate(hits / n, (float(low[0]), float(high[0]))),
        "mean_set_size": number(float(size[rows].mean())),
        "of_one_class": number(float((size[rows] == 1).mean())),
    }


def _hash(object_id: str) -> int:
    """64 bits of an id: the last says which half, the others where in [0, 1)."""
    return int.from_bytes(hashlib.sha256(str(object_id).encode()).digest()[:8], "little")
