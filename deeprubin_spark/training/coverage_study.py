"""Sets of classes for supernovae too faint for a spectrum, from those bright enough: do they hold the truth as often as promised, however faint?

Trees learn from objects with a spectrum and their copies on the nights of the others. The threshold of the sets comes from copies whose parents did not train,
in parent-grouped folds, each weighted by its class's share among the others, estimated without labels: for each third of the others' signal to noise from
the copies that lie in it, for a faint one is less well told (conformal by group: Vovk, Lindsay, Nouretdinov & Gammerman 2003, Mondrian confidence machine).
Judged are the others, by the same thirds.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.calibration import conformal_scores, conformal_threshold, label_shift, reliability, reweighted
from deeprubin_spark.models.boosted_copies import boosted_trees
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.metrics import accuracy, log_losses
from deeprubin_spark.training.studies import Study, kept_arrays, signal_to_noise, summarised, write

COVERAGE = 0.9
VERSION = 2  # of what a fit does
N_FOLDS = 3
THIRDS = ("faint", "middle", "bright")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Fitted(NamedTuple):
    """Of a seed: probabilities and sets (M, C) of the judged, and sets by one threshold for all thirds; of copies that did not train log-loss [nat] and
    whether right (K,); core-seconds.
    """

    probabilities: FloatArray
    sets: NDArray[np.bool_]
    sets_by_one: NDArray[np.bool_]
    log_loss: FloatArray
    right: NDArray[np.bool_]
    seconds: FloatArray


def run(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    """All fits, then the result, which is also written. NoInputError without copies."""
    if study.copies is None:
        raise NoInputError("study of coverage: copies of the objects with a spectrum expected, found none; run augment")
    judged = np.flatnonzero(~study.spectroscopic)
    target, noise = study.target()[judged], signal_to_noise(study.objects)[judged]
    third = _thirds(noise, noise)
    fits = [_kept(study, study.copies, judged, seed) for seed in seeds]
    study.seconds.update({("coverage", seed): float(fit.seconds) for seed, fit in zip(seeds, fits, strict=True)})
    scores = summarised([partial(_scores, fit, fit.sets, target, third) for fit in fits], len(target))
    by_one = summarised([partial(_scores, fit, fit.sets_by_one, target, third) for fit in fits], len(target))
    out_of_fold = summarised([partial(_of_copies, fit) for fit in fits], len(study.copies.target))
    rows = [
        {"name": "objects without a spectrum", **scores},
        {"name": "the same, one threshold", **by_one},
        {"name": "copies, out of fold", **out_of_fold},
    ]
    more = {"train": int(study.spectroscopic.sum()), "judged": len(judged), "copies": len(study.copies.target), "coverage": COVERAGE}
    return write(study, "coverage", rows, seeds, more)


def _thirds(noise: FloatArray, of_judged: FloatArray) -> IntArray:
    """Of each signal to noise (N,) the place in THIRDS, which are equal among the judged."""
    return np.searchsorted(np.quantile(of_judged, [1.0 / 3.0, 2.0 / 3.0]), noise)


def _kept(study: Study, copies: Labelled, judged: IntArray, seed: int) -> Fitted:
    """The seed's fits, from the file if they are there."""
    key = hashlib.sha256(json.dumps([VERSION, study.objects.sha256, copies.sha256, seed]).encode()).hexdigest()[:16]
    place = study.directory / "coverage" / f"{key}.npz"
    return Fitted(**kept_arrays(place, lambda: _fitted(study, copies, judged, seed)._asdict()))


def _fitted(study: Study, copies: Labelled, judged: IntArray, seed: int) -> Fitted:
    begin = time.process_time()
    train = study.objects.take(np.flatnonzero(study.spectroscopic)).joined(copies)
    target, n_classes = study.target(train), len(study.classes)
    is_copy = np.arange(len(target)) >= len(target) - len(copies.target)

    def trees(chosen: IntArray, new: NDArray[np.floating]) -> FloatArray:
        return boosted_trees(train.values[chosen], target[chosen], np.ones(len(chosen)), new, n_classes, seed)

    held = np.zeros((len(target), n_classes))
    for chosen, others in GroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(target, groups=train.parents()):
        held[others] = trees(chosen, train.values[others])
    prior = np.bincount(target, minlength=n_classes) / len(target)
    shares, probabilities = label_shift(trees(np.arange(len(target)), study.objects.values[judged]), prior)
    of_copies, truth = held[is_copy], target[is_copy]
    corrected = reweighted(of_copies, np.divide(shares, prior, out=np.zeros_like(prior), where=prior > 0.0))
    weight = (shares / np.maximum(np.bincount(truth, minlength=n_classes), 1))[truth]
    rng = np.random.default_rng(seed)
    scores = conformal_scores(corrected, rng.uniform(size=len(truth)))
    of_judged = conformal_scores(probabilities, rng.uniform(size=len(judged)))
    noise = signal_to_noise(study.objects)[judged]
    groups = [_thirds(signal_to_noise(copies), noise) == k for k in range(len(THIRDS))]
    thresholds = np.array([conformal_threshold(scores[group], truth[group], COVERAGE, weight[group]) for group in groups])
    # Some sets are empty: with the most probable class they would hold the truth more often.
    sets = of_judged <= thresholds[_thirds(noise, noise), None]
    sets_by_one = of_judged <= conformal_threshold(scores, truth, COVERAGE, weight)
    right = of_copies.argmax(axis=1) == truth
    print(f"  coverage seed {seed}: fitted", file=sys.stderr)
    return Fitted(probabilities, sets, sets_by_one, log_losses(of_copies, truth), right, np.asarray(time.process_time() - begin))


def _of_copies(fit: Fitted, rows: IntArray) -> dict[str, float]:
    return {"accuracy": float(fit.right[rows].mean()), "log_loss": float(fit.log_loss[rows].mean())}


def _scores(fit: Fitted, sets: NDArray[np.bool_], target: IntArray, third: IntArray, rows: IntArray) -> dict[str, float]:
    covered, size, of_third = sets[rows, target[rows]], sets[rows].sum(axis=1), third[rows]
    found = {"coverage": float(covered.mean())}
    found |= {f"coverage_{name}": float(covered[of_third == k].mean()) for k, name in enumerate(THIRDS)}
    found |= {"set_size": float(size.mean())}
    found |= {f"set_size_{name}": float(size[of_third == k].mean()) for k, name in enumerate(THIRDS)}
    p, truth = fit.probabilities[rows], target[rows]
    return found | {"accuracy": accuracy(p, truth), "log_loss": float(log_losses(p, truth).mean()), "ece": reliability(p, truth).error}
