"""Fits of a benchmark's split, with copies of its training objects where it names some.

Copies train only with their parent: a copy of an object that is judged, or unknown, is an error. Where the copies take the nights of judged objects, these
are at hand, and the class shares among them are estimated too, without their labels.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.errors import DataGateError
from deeprubin_spark.kernels.calibration import label_shift
from deeprubin_spark.models.boosted_copies import OF_COPIES
from deeprubin_spark.schemas.surveys import COPIED
from deeprubin_spark.training.fits import FITS, Fit, Work, trees
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.protocols import Split

VERSION = 1  # of what is done with copies; a result's key has it

FloatArray = NDArray[np.float64]


def training_set(objects: Labelled, split: Split, copies: Labelled | None) -> Labelled:
    """The split's training objects, and where it names copies, these too."""
    train = objects.take(split.train)
    if copies is None:
        return train
    require_parents(objects, split, copies)
    return train.joined(copies)


def fit_of(model: str, split: Split) -> Fit:
    """The model's fit; some have sizes of their own for training sets with copies."""
    return partial(trees, OF_COPIES[model]) if split.copies and model in OF_COPIES else FITS[model]


def with_their_shares(found: FloatArray, work: Work, split: Split) -> FloatArray:
    """Probabilities (M, C) for the class shares of the judged objects, where their light curves may be looked at; else as they are."""
    if not split.copies or COPIED[split.copies].cadences != "unlabelled":
        return found
    weight = work.class_weight[work.train.target]
    prior = np.bincount(work.train.target, weights=weight, minlength=found.shape[1]) / weight.sum()
    return label_shift(found, prior)[1]


def require_parents(objects: Labelled, split: Split, copies: Labelled) -> None:
    """DataGateError where a copy's parent does not train, or is of another class, or the features are not the same."""
    target_of = dict(zip(objects.object_id[split.train].tolist(), objects.target[split.train].tolist(), strict=True))
    each = zip(copies.object_id.tolist(), copies.parents().tolist(), copies.target.tolist(), strict=True)
    wrong = [own for own, parent, label in each if target_of.get(parent) != label]
    if wrong or copies.names != objects.names:
        raise DataGateError(
            f"{split.copies}: expected copies of the {len(target_of):,} training objects with their parents' classes and features, found {len(wrong):,} "
            f"others, first {wrong[:1]}; run augment and extract_features of {split.copies} again"
        )
