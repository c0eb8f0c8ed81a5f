"""The published benchmarks as splits: which objects train, which are judged, and by which numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.metrics import KAGGLE_WEIGHTS, accuracy, figure_of_merit, metrics

N_FOLDS = 5
SHARES = (0.052, 0.5)
_IA = CLASS_NAMES.index("SNIa")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Rows that train and rows that are judged, no object in both; copies: survey of copies of training objects that train with them, or ''."""

    name: str
    train: IntArray
    test: IntArray
    copies: str = ""


Splits = Mapping[str, list[Split]]  # of each group the splits whose judged rows are scored together


@dataclass(frozen=True)
class Protocol:
    """A benchmark.

    survey, source : of the objects and their labels      spectroscopic : source of the labels that objects with a spectrum have, or ''
    splits : (target (N,), whether an object has a spectrum (N,), seed) -> `Splits`
    weight : (objects of each class in training (C,)) -> weight of an object of each class (C,)
    scores : (probabilities, target) -> numbers by name      published : what others reached, with source
    copies : surveys of copies that its splits name
    """

    survey: str
    source: str
    spectroscopic: str
    with_redshift: bool
    splits: Callable[[IntArray, NDArray[np.bool_], int], Splits]
    weight: Callable[[FloatArray], FloatArray]
    scores: Callable[[FloatArray, IntArray], dict[str, float]]
    published: str
    copies: tuple[str, ...] = ()


def cross_validated(target: IntArray, spectroscopic: NDArray[np.bool_], seed: int) -> Splits:
    """Five folds by object, each with every class in its share."""
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(target, target)
    return {"five folds": [Split(f"fold-{i}", train.astype(np.int64), test.astype(np.int64)) for i, (train, test) in enumerate(folds)]}


def biased(target: IntArray, spectroscopic: NDArray[np.bool_], seed: int) -> Splits:
    """Train on the objects that were bright enough for a spectrum, judge all others: the same for every seed.

    Once alone; once with copies on nights of training objects (inductive: no other light curve is touched); once with copies on nights of the judged
    objects, whose light curves are used without their labels (transductive).
    """
    train, test = np.flatnonzero(spectroscopic), np.flatnonzero(~spectroscopic)
    surveys = {"no augmentation": "", "inductive": "spcc_inductive", "transductive": "spcc_transductive"}
    return {group: [Split(group.replace(" ", "-"), train, test, copies)] for group, copies in surveys.items()}


def random_shares(target: IntArray, spectroscopic: NDArray[np.bool_], seed: int) -> Splits:
    """Train on a random share of the objects, judge the rest."""
    found = {}
    for share in SHARES:
        train, test = train_test_split(np.arange(len(target)), train_size=share, random_state=seed, stratify=target)
        found[f"{100 * share:g} %"] = [Split(f"random-{share:g}", np.sort(train), np.sort(test))]
    return found


def fourteen_classes(probabilities: FloatArray, target: IntArray) -> dict[str, float]:
    """The challenge's weighted log-loss, macro-F1, accuracies, calibration error."""
    found = metrics(probabilities, target, CLASS_NAMES)
    return {name: found[name] for name in ("kaggle_log_loss", "macro_f1", "accuracy", "balanced_accuracy", "log_loss", "ece")}


def type_ia(probabilities: FloatArray, target: IntArray) -> dict[str, float]:
    """Type Ia against the rest: AUC; accuracy, figure of merit, purity and completeness at p > 0.5; calibration error. Purity is NaN of no object."""
    p, is_ia = probabilities[:, _IA], target == _IA
    two, truth = np.column_stack([1.0 - p, p]), is_ia.astype(np.int64)
    chosen = p > 0.5
    return {
        "auc": float(roc_auc_score(is_ia, p)),
        "accuracy": accuracy(two, truth),
        "figure_of_merit": figure_of_merit(p, is_ia),
        "purity": float(is_ia[chosen].mean()) if chosen.any() else float("nan"),
        "completeness": float(chosen[is_ia].mean()),
        "ece": metrics(two, truth, ("other", "SNIa"))["ece"],
    }


def of_equal_classes(counts: FloatArray) -> FloatArray:
    """Every class weighs the same, those that the challenge counts twice twice: what its metric asks for."""
    wanted = np.array([KAGGLE_WEIGHTS.get(name, 1.0) for name in CLASS_NAMES])
    return np.divide(wanted, counts, out=np.zeros_like(wanted), where=counts > 0)


def of_objects(counts: FloatArray) -> FloatArray:
    """Every object weighs the same, so that probabilities hold for a sky like the training set."""
    return np.ones_like(counts)


PROTOCOLS: Mapping[str, Protocol] = {
    "plasticc": Protocol(
        "plasticc",
        "plasticc_truth",
        "",
        True,
        cross_validated,
        of_equal_classes,
        fourteen_classes,
        "kaggle_log_loss 0.4961, macro_f1 0.788, accuracy 0.792: single LightGBM of a third-placed team (kozodoi/Kaggle_Astronomical_Classification), "
        "the same objects, folds of the whole training set of 7,848",
    ),
    "spcc-biased": Protocol(
        "spcc",
        "spcc_truth",
        "spcc_spectroscopic",
        False,
        biased,
        of_objects,
        type_ia,
        "auc 0.96 (Revsbech et al. 2018, arXiv:1706.03811), accuracy 0.811 (Pasquet et al. 2019, arXiv:1901.01298), on 21,319 objects of which 1,103 train",
        ("spcc_inductive", "spcc_transductive"),
    ),
    "spcc-random": Protocol(
        "spcc",
        "spcc_truth",
        "",
        True,
        random_shares,
        of_objects,
        type_ia,
        "auc 0.910 with 5.2 % and 0.986 with 50 % of 21,319 objects (Charnock & Moss 2017, arXiv:1606.07442)",
    ),
}
