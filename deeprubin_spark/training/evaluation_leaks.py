"""Ways in which an evaluation could deceive, tried each time: each test is {name, verdict, detail, ...numbers}.

verdict: 'passed', 'failed', 'told' (a number to be read, without a bound) or 'not done' (the set does not allow it; `detail` says why).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from deeprubin_spark.kernels.feature_catalogue import FeatureSet
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.evaluation_numbers import Judged, number
from deeprubin_spark.training.metrics import accuracy, aucs

N_PERMUTATIONS = 200
N_REFITS = 20  # of the model of id and place, with the labels permuted
N_FOLDS = 3
FEWEST = 20  # objects, on either side of a comparison
MOST_FITTED = 4_000  # objects, a sample by the order of their ids' hashes
_SIGMAS = 4.0  # of a mean over many permutations
_SIGMAS_OF_PLACE = 3.0  # of single refits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Told = dict[str, Any]


def permuted_labels(judged: Judged) -> Told:
    """The same probabilities held against permuted truths: a macro-averaged AUC of 0.5, within four standard errors, and the real one above them all."""
    if len(judged) < FEWEST:  # of a few objects a permutation may be the truth itself
        return _test("permuted_labels", "not done", f"{FEWEST} objects are needed, there are {len(judged)}")
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(judged.target) for _ in range(N_PERMUTATIONS)]
    areas = np.array([_macro_auc(judged.probabilities, target) for target in drawn])
    right = float(np.mean([accuracy(judged.probabilities, target) for target in drawn]))
    real = _macro_auc(judged.probabilities, judged.target)
    if not np.isfinite(areas).all():
        return _test("permuted_labels", "not done", "objects of two classes are needed")
    error = float(areas.std() / np.sqrt(N_PERMUTATIONS))
    is_chance = abs(areas.mean() - 0.5) <= _SIGMAS * error
    detail = (
        f"macro AUC {areas.mean():.3f} ± {error:.3f} and accuracy {right:.3f} over {N_PERMUTATIONS} permutations of the truth (chance: 0.5); "
        f"{real:.3f} with the truth"
    )
    verdict = "passed" if is_chance and real > areas.max() else "failed"
    return _test("permuted_labels", verdict, detail, macro_auc=number(areas.mean()), standard_error=number(error), with_truth=number(real))


def id_and_place(judged: Judged, ra: FloatArray, dec: FloatArray, features: Iterable[str], feature_set: FeatureSet) -> Told:
    """What the id and the place on the sky alone tell of the class: trees fitted to them, judged out of fold, against the same with permuted labels.

    ra, dec : (N,) [deg]. Passed where they do no better than chance. Where they do, the set's classes lie in different places: failed if the judged
    model reads a feature of the place, else told, for it cannot use that.
    """
    rows = _sample(judged.object_id)
    inputs = np.column_stack([_id_number(judged.object_id), ra, dec])[rows]
    inputs, target = np.where(np.isfinite(inputs), inputs, -999.0), judged.target[rows]
    if len(rows) < FEWEST or len(np.unique(target)) < 2:
        return _test("id_and_place", "not done", f"{FEWEST} objects of at least two classes are needed, there are {len(rows)}")
    rng = np.random.default_rng(0)
    chance = np.array([_area_of_place(inputs, rng.permutation(target)) for _ in range(N_REFITS)])
    real, limit = _area_of_place(inputs, target), chance.mean() + _SIGMAS_OF_PLACE * chance.std()
    of_place = {feature.name for feature in feature_set.of_group("context")} | {"dust_ebv"}
    read = sorted(of_place & set(features))
    detail = (
        f"macro AUC of trees that see id, ra and dec alone {real:.3f}; with permuted labels {chance.mean():.3f} ± {chance.std():.3f}. "
        f"Features of the place that the judged model reads: {', '.join(read) or 'none'}"
    )
    verdict = "passed" if real <= limit else "failed" if read else "told"
    if verdict != "passed":
        detail += ". In this set the place tells something of the class"
    return _test("id_and_place", verdict, detail, macro_auc=number(real), permuted=number(chance.mean()), features_of_place=read)


def early_features(compared: Mapping[str, int]) -> Told:
    """From the counts of the step that made the features of cut curves again with other later points (`preprocessing/truncation.py`)."""
    n, n_differ = compared["cuts_compared"], compared["cuts_that_differ"]
    if n == 0:
        return _test("early_features", "not done", "no object has a detection, so no curve was cut")
    detail = f"{n} cut curves computed again, alone and with every later point changed: the features of {n_differ} differ"
    return _test("early_features", "failed" if n_differ else "passed", detail, compared=n, differ=n_differ)


def disjoint(judged: Iterable[str], trained: Iterable[str]) -> Told:
    """That no object, by the SHA-256 of its id, both trained the model and is judged."""
    of_judged, of_trained = (_hashes(ids) for ids in (judged, trained))
    common = len(of_judged & of_trained)
    numbers = {"judged_sha256": _of_all(of_judged), "trained_sha256": _of_all(of_trained), "common": common}
    detail = f"{len(of_judged):,} judged and {len(of_trained):,} training objects of this set have {common} in common"
    return _test("disjoint", "failed" if common else "passed", detail, **numbers)


def adversarial(judged: FloatArray, trained: FloatArray) -> Told:
    """Whether trees can tell judged objects from training objects by the model's features: AUC out of fold; 0.5 means they look alike."""
    if min(len(judged), len(trained)) < FEWEST:
        return _test(
            "adversarial",
            "not done",
            f"{FEWEST} objects with features are needed on either side, there are {len(judged)} judged and {len(trained)} training objects",
        )
    inputs = np.concatenate([judged, trained])
    is_judged = np.repeat([1, 0], [len(judged), len(trained)])
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    fit = RandomForestClassifier(40, min_samples_leaf=5, random_state=0)  # takes missing values; one thread, whatever else runs here
    area = float(aucs(cross_val_predict(fit, inputs, is_judged, cv=folds, method="predict_proba"), is_judged)[1])
    detail = f"AUC {area:.3f} of trees that tell {len(judged):,} judged from {len(trained):,} training objects by the model's features (0.5: alike)"
    return _test("adversarial", "told", detail, auc=number(area))


def _test(name: str, verdict: str, detail: str, **numbers: object) -> Told:
    return {"name": name, "verdict": verdict, "detail": detail, **numbers}


def _macro_auc(probabilities: FloatArray, target: IntArray) -> float:
    area = aucs(probabilities, target)
    return float(np.nanmean(area)) if np.isfinite(area).any() else float("nan")


def _area_of_place(inputs: FloatArray, target: IntArray) -> float:
    """Macro-averaged AUC, out of fold."""
    made = np.zeros((len(target), len(CLASS_NAMES)))
    for train, test in KFold(N_FOLDS, shuffle=True, random_state=0).split(inputs):
        fit = RandomForestClassifier(15, min_samples_leaf=5, random_state=0).fit(inputs[train], target[train])
        made[np.ix_(test, fit.classes_)] = fit.predict_proba(inputs[test])
    return _macro_auc(made, target)


def _id_number(object_id: NDArray[np.str_]) -> FloatArray:
    """An id's digits as a number, 0 where it has none: ids are often given in some order."""
    digits = ["".join(letter for letter in str(name) if letter.isdigit())[-15:] for name in object_id]
    return np.array([float(text or 0) for text in digits])


def _sample(object_id: NDArray[np.str_]) -> IntArray:
    """At most MOST_FITTED rows."""
    return np.argsort([hashlib.sha256(str(name).encode()).hexdigest() for name in object_id])[:MOST_FITTED]


def _hashes(ids: Iterable[str]) -> set[str]:
    return {hashlib.sha256(str(name).encode()).hexdigest() for name in ids}


def _of_all(hashes: set[str]) -> str:
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
