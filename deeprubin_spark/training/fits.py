"""What a benchmark fits: every model takes labelled objects and a split, and gives class probabilities of the judged ones.

The scikit-learn baselines, and the network that a night uses, trained by the very loop that trains it on a cluster, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from deeprubin_spark.kernels import calibration
from deeprubin_spark.models.baseline import BASELINES, Baseline
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows, FeatureScaler
from deeprubin_spark.models.networks import SHAPES, curves_for, restored, shape_of
from deeprubin_spark.models.uncertainty import softmax
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.loop import Alone, Batches, Plan, train
from deeprubin_spark.training.reader import Batch

VERSION = 1  # of what a fit does; results of another version are made again
N_CLASSES = len(CLASS_NAMES)
EPOCHS, BATCH_SIZE, LEARNING_RATE = 40, 64, 3e-3
HELD_SHARE = 0.1
HOST, UNSEEN = "host_photo_z", 1e-6
_BLOCK = 256

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Work:
    """One fit: the objects that train and those that are judged, the weight of an object of each class (C,), a seed, and a place for checkpoints."""

    train: Labelled
    test: Labelled
    class_weight: FloatArray
    seed: int
    place: Path


Fit = Callable[[Work], FloatArray]


def trees(baseline: Baseline, work: Work) -> FloatArray:
    """A scikit-learn baseline on all features (M, C)."""
    target = work.train.target
    # scikit-learn refuses a feature that no training object has, as of a band never observed.
    seen = np.isfinite(work.train.values).any(axis=0)
    made = baseline(work.train.values[:, seen], target, work.class_weight[target], work.test.values[:, seen], N_CLASSES, work.seed)
    return where_seen(work, made)


def network(kind: str, work: Work) -> FloatArray:
    """A network on light curve and features, redrawn within the light curve's errors in training and in use (M, C).

    A tenth of the training objects, with their copies, does not train and gives the temperature. Rare classes count by the square root of their weight in
    training, and the probabilities are brought to the full weight afterwards: a handful of objects with a weight of hundreds would be learnt by heart.
    """
    parents, names = work.train.parents(), work.train.model_names()
    _, apart = train_test_split(np.unique(parents), test_size=HELD_SHARE, random_state=work.seed)
    is_held = np.isin(parents, apart)
    rows, held = work.train.take(np.flatnonzero(~is_held)).model_rows(), work.train.take(np.flatnonzero(is_held))
    target, softened = work.train.target[~is_held], np.sqrt(work.class_weight)
    plan = Plan(
        shape=shape_of(kind, len(names), N_CLASSES, rows.grid_mean.shape[1]),
        scaler=FeatureScaler.fit(rows.values, names),
        class_weight=(softened / softened[target].mean()).astype(np.float32),
        n_rows=len(rows),
        n_shards=1,
        n_steps=rows.grid_time.shape[1],
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        seed=work.seed,
    )
    trained = train(plan, Alone(), in_memory(rows, target, plan), Checkpoints(work.place))
    made = restored(plan.shape, trained.network)
    natural = np.divide(1.0, softened, out=np.zeros_like(softened), where=softened > 0.0)
    t = calibration.temperature(drawn_logits(made, plan, held.model_rows()), held.target, natural)
    probabilities = softmax(drawn_logits(made, plan, work.test.model_rows()) / t).mean(axis=0)
    return where_seen(work, calibration.reweighted(probabilities, softened))


def where_seen(work: Work, probabilities: FloatArray) -> FloatArray:
    """`probabilities` (M, C) without the classes that no training object with a host has, for objects with one, and likewise without.

    Such a class gets `UNSEEN`. Without redshifts among the features the probabilities stay as they are.
    """
    if HOST not in work.train.names:
        return probabilities
    seen = np.zeros((2, probabilities.shape[1]), bool)
    seen[np.isfinite(work.train.column(HOST)).astype(int), work.train.target] = True
    kept = np.where(seen[np.isfinite(work.test.column(HOST)).astype(int)], probabilities, UNSEEN)
    total: FloatArray = kept.sum(axis=1, keepdims=True)
    return kept / total


def in_memory(rows: FeatureRows, target: NDArray[np.int64], plan: Plan) -> Batches:
    """Batches of rows that are all here, in an order of each epoch's own; one shard."""
    n_rows = len(rows)
    arrays: Batch = {
        "row": np.arange(n_rows),
        "label": target.astype(np.int32),
        "weight": np.ones(n_rows, np.float32),
        "features": rows.values,
        "grid_time": rows.grid_time,
        "grid_mean": rows.grid_mean.reshape(n_rows, -1),
        "grid_sd": rows.grid_sd.reshape(n_rows, -1),
    }
    if rows.points is not None:
        arrays["points"] = rows.points

    def batches(epoch: int, shard: int) -> Iterator[Batch]:
        order = np.random.default_rng([plan.seed, epoch]).permutation(n_rows)
        for start in range(0, n_rows, plan.batch_size):
            yield {name: values[order[start : start + plan.batch_size]] for name, values in arrays.items()}

    return batches


def drawn_logits(network: HybridNetwork[Any], plan: Plan, rows: FeatureRows) -> FloatArray:
    """Logits (2, M, C) of the curves moved along a noise pattern and against it."""
    curves = curves_for(plan.shape, plan.n_steps, plan.seed)
    made = [np.zeros((2, 0, plan.shape.n_classes))]
    for start in range(0, len(rows), _BLOCK):
        block = rows.take(slice(start, start + _BLOCK))
        features = torch.from_numpy(plan.scaler.scaled(block.values))
        with torch.inference_mode():
            draws = [network(curve, features)[0] for curve in curves.drawn(block)]
        made.append(np.stack([logits.double().numpy() for logits in draws]))
    return np.concatenate(made, axis=1)


FITS: Mapping[str, Fit] = {
    **{name: partial(trees, baseline) for name, baseline in BASELINES.items()},
    **{kind: partial(network, kind) for kind in SHAPES},
}
