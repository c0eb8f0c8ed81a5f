"""Fits of a benchmark's split, with copies of its training objects where it names some.

Copies train only with their parent: a copy of an object that is judged, or unknown, is an error. Where the copies take the nights of judged objects, these
are at hand, and the class shares among them are estimated too, without their labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.errors import DataGateError
from deeprubin_spark.kernels.calibration import label_shift
from deeprubin_spark.models.baseline import BASELINES
from deeprubin_spark.models.boosted_copies import OF_COPIES
from deeprubin_spark.schemas.surveys import COPIED
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.protocols import Protocol, Split

VERSION = 1  # of what is done with copies; a result's key has it

FloatArray = NDArray[np.float64]


def predictions(model: str, protocol: Protocol, objects: Labelled, split: Split, copies: Labelled | None, seed: int) -> FloatArray:
    """Probabilities of the judged rows (M, C) by a model that the split's training rows and their copies have trained."""
    values, target = objects.values[split.train], objects.target[split.train]
    fit = BASELINES[model]
    if copies is not None:
        require_parents(objects, split, copies)
        values, target = np.concatenate([values, copies.values]), np.concatenate([target, copies.target])
        fit = OF_COPIES.get(model, fit)
    of_class = protocol.weight(np.bincount(target, minlength=len(CLASS_NAMES)).astype(np.float64))
    weight = of_class[target] / of_class[target].mean()
    known = np.isfinite(values).any(
        axis=0
    )  # a feature that no training row has (of a band never observed) says nothing, and scikit-learn refuses it
    found = fit(values[:, known], target, weight, objects.values[split.test][:, known], len(CLASS_NAMES), seed)
    if split.copies and COPIED[split.copies].cadences == "unlabelled":
        prior = np.bincount(target, weights=weight, minlength=len(CLASS_NAMES)) / weight.sum()
        return label_shift(found, prior)[1]
    return found


def require_parents(objects: Labelled, split: Split, copies: Labelled) -> None:
    """DataGateError where a copy's parent does not train, or is of another class, or the features are not the same."""
    target_of = dict(zip(objects.object_id[split.train].tolist(), objects.target[split.train].tolist(), strict=True))
    parents = [name.partition("/")[0] for name in copies.object_id.tolist()]
    wrong = [
        own
        for own, parent, label in zip(copies.object_id.tolist(), parents, copies.target.tolist(), strict=True)
        if target_of.get(parent) != label
    ]
    if wrong or copies.names != objects.names:
        raise DataGateError(
            f"{split.copies}: expected copies of the {len(target_of):,} training objects with their parents' classes and features, found {len(wrong):,} "
            f"others, first {wrong[:1]}; run augment and extract_features of {split.copies} again"
        )
