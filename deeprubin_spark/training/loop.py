"""The epochs: batches in, one gradient over all shards, one step, a checkpoint after each epoch.

A process works on the shards it owns. Two processes with a shard each, and one process with both, add up the same gradients in the same order, so they
take the same steps: what a cluster trains can be checked on one core. Nothing is drawn from a running random state: noise and hidden
stretches follow from row, epoch and seed, so a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from deeprubin_spark.errors import DataGateError
from deeprubin_spark.kernels.counter_random import Keys, keys, uniforms
from deeprubin_spark.models.curves import Training
from deeprubin_spark.models.feature_batches import POINTS
from deeprubin_spark.models.hybrid import HybridNetwork, Thinning
from deeprubin_spark.models.inputs import FeatureScaler, Float32Array
from deeprubin_spark.models.losses import multitask_loss, reconstruction_loss
from deeprubin_spark.models.networks import Shape, curves_for, kind_of, network_of, reads_points
from deeprubin_spark.models.points import MAX_POINTS
from deeprubin_spark.training.checkpoints import Checkpoints, State
from deeprubin_spark.training.export import feature_rows
from deeprubin_spark.training.reader import Batch

WARM_UP = 0.05  # [1] of all steps
WEIGHT_DECAY = 0.6
MAX_GRADIENT = 1.0
HIDDEN_FEATURES = 0.5  # [1] of the feature values are hidden from a network in training: hundreds of them say the same in another way
N_PARTS = 4
_FEATURES, _DROPOUT = 1_000, 1_001  # what a row's key is drawn again for; its curve's draws have smaller numbers

Value = TypeVar("Value")
Batches = Callable[[int, int], Iterator[Batch]]


@dataclass(frozen=True)
class Plan:
    """All that decides the result, small enough to be sent to every rank. class_weight: (C,)."""

    shape: Shape
    scaler: FeatureScaler
    class_weight: Float32Array
    n_rows: int
    n_shards: int
    n_steps: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    noise: str = "gaussian"  # of the reconstruction, a name in `losses.NOISE`

    @property
    def steps_per_epoch(self) -> int:
        """[1] Batches of each shard."""
        return math.ceil(self.n_rows // self.n_shards / self.batch_size)


class Collective(Protocol):
    """The processes that train together."""

    rank: int
    size: int

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes."""

    def from_first(self, value: Value) -> Value:
        """What process 0 passed."""


class Alone:
    """One process without others."""

    rank, size = 0, 1

    def sum(self, values: Tensor) -> Tensor:
        """The values."""
        return values

    def from_first(self, value: Value) -> Value:
        """The value."""
        return value


class Prepared(NamedTuple):
    """A batch of B rows: the curve and what of it is to be rebuilt, features (B, F), target and weight (B,), and keys for dropout (B,)."""

    given: Training[Any]
    features: Tensor
    target: Tensor
    weight: Tensor
    dropout_keys: Keys


@dataclass(frozen=True)
class Trained:
    """Weights after the last epoch as safetensors bytes, each epoch's weighted mean loss, and how long those of this run took [s]."""

    network: bytes
    losses: tuple[float, ...]
    seconds: tuple[float, ...]


def train(plan: Plan, collective: Collective, batches: Batches, checkpoints: Checkpoints) -> Trained:
    """Train from the last checkpoint, or from the start, to the last epoch.

    batches(epoch, shard): that shard's batches. Process r owns the shards r, r + size, ...
    Raises DataGateError where an epoch did not bring every row exactly once.
    """
    torch.set_num_threads(1)  # sums over threads come in no fixed order
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(plan.seed)
    network = network_of(plan.shape)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY)
    state = collective.from_first(checkpoints.latest() if collective.rank == 0 else None) or State.of(network, optimizer, ())
    state.restore(network, optimizer)
    prepare = Preparation(plan)
    losses, seconds = list(state.losses), []
    for epoch in range(len(losses), plan.epochs):
        begin = time.perf_counter()
        losses.append(_epoch(epoch, plan, collective, batches, network, optimizer, prepare))
        seconds.append(time.perf_counter() - begin)
        state = State.of(network, optimizer, tuple(losses))
        if collective.rank == 0:
            checkpoints.save(state)
    return Trained(state.network, tuple(losses), tuple(seconds))


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up over the first 5 % of the steps, then half a cosine to 0."""
    total = plan.epochs * plan.steps_per_epoch
    warm = max(1, round(WARM_UP * total))
    return plan.learning_rate * min((step + 1) / warm, 0.5 * (1.0 + math.cos(math.pi * max(0, step - warm) / max(1, total - warm))))


class Preparation:
    """Batches to tensors: scaled and partly hidden features, and light curves as the network's `Curves` give them in training."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._curves = curves_for(plan.shape, plan.n_steps, plan.seed)
        self._has_lengths = reads_points(kind_of(plan.shape))

    def parts(self, batch: Batch) -> list[Batch]:
        """For a network that reads points N_PARTS of the batch, from short light curves to long ones, whose gradients add up to the batch's.

        Curves are filled up to the longest beside them: by parts there is half the work, and ranks wait less for the one that has a long curve.
        """
        if not self._has_lengths:
            return [batch]
        lengths = np.isfinite(batch[POINTS][:, :MAX_POINTS]).sum(axis=1)
        chosen = np.array_split(np.argsort(lengths, kind="stable"), N_PARTS)
        return [{name: values[rows] for name, values in batch.items()} for rows in chosen if len(rows)]

    def __call__(self, batch: Batch, epoch: int) -> Prepared:
        """The batch's rows, as they are in this epoch."""
        plan = self._plan
        row_keys = keys(plan.seed, epoch, batch["row"])
        given = self._curves.training(feature_rows(batch), row_keys)
        features = plan.scaler.scaled(batch["features"]) * _kept(keys(row_keys, _FEATURES), plan.shape.n_features, HIDDEN_FEATURES)
        target = torch.from_numpy(batch["label"].astype(np.int64))
        weight = torch.from_numpy(batch["weight"] * plan.class_weight[batch["label"]])
        return Prepared(given, torch.from_numpy(features), target, weight, keys(row_keys, _DROPOUT))


def _epoch(
    epoch: int,
    plan: Plan,
    collective: Collective,
    batches: Batches,
    network: HybridNetwork[Any],
    optimizer: torch.optim.Optimizer,
    prepare: Preparation,
) -> float:
    """One pass over all rows; returns its weighted mean loss."""
    own = [batches(epoch, shard) for shard in range(collective.rank, plan.n_shards, collective.size)]
    seen = torch.zeros(plan.n_rows, dtype=torch.int32)
    loss, weight = 0.0, 0.0
    for step in range(plan.steps_per_epoch):
        total = torch.zeros(sum(p.numel() for p in network.parameters()) + 2)
        for shard in own:
            batch = next(shard, None)
            if batch is None:
                raise DataGateError(
                    f"epoch {epoch}: a shard ended before step {step} of {plan.steps_per_epoch}; export the training set again"
                )
            seen.index_add_(0, torch.from_numpy(batch["row"].astype(np.int64)), torch.ones(len(batch["row"]), dtype=torch.int32))
            # A shard's sum first: one process with both shards then adds as two with one each do.
            total += sum(_gradient(network, prepare(part, epoch), plan.noise) for part in prepare.parts(batch))
        total = collective.sum(total)
        loss, weight = loss + float(total[-2]), weight + float(total[-1])
        _step(network, optimizer, total, learning_rate(plan, epoch * plan.steps_per_epoch + step))
    times = collective.sum(seen)
    if any(next(shard, None) is not None for shard in own) or not bool((times == 1).all()):
        wrong = int((times != 1).sum())
        raise DataGateError(
            f"epoch {epoch}: expected each of {plan.n_rows} rows once, {wrong} came more or less often; export the training set again"
        )
    return loss / weight


def batch_loss(network: HybridNetwork[Any], prepared: Prepared, noise: str) -> Tensor:
    """Summed loss of a batch, the network thinned as it stands."""
    given = prepared.given
    logits, mean, log_sd = network(given.curve, prepared.features)
    rebuilt = reconstruction_loss(mean, log_sd, given.mean, given.sd, given.hidden, noise)
    return multitask_loss(logits, prepared.target, prepared.weight, rebuilt)


def _gradient(network: HybridNetwork[Any], prepared: Prepared, noise: str) -> Tensor:
    """Gradient of a batch's summed loss, then the summed loss and the summed weight: (P + 2,)."""
    network.zero_grad(set_to_none=True)
    thin(network, prepared.dropout_keys)
    loss = batch_loss(network, prepared, noise)
    loss.backward()
    gradient = [p.grad.reshape(-1) for p in network.parameters() if p.grad is not None]
    return torch.cat([*gradient, loss.detach().reshape(1), prepared.weight.sum().reshape(1)])


def thin(network: HybridNetwork[Any], row_keys: Keys) -> None:
    """Dropout of some rows: what a row's class is read from by the row's own key, inner layers all alike by the first row's."""
    for i, thinning in enumerate(module for module in network.modules() if isinstance(module, Thinning)):
        of_rows = row_keys if thinning is network.thinning else row_keys[:1]
        kept = torch.from_numpy(_kept(keys(of_rows, i), thinning.width, thinning.share))
        thinning.kept = kept if thinning is network.thinning else kept[0]


def _step(network: HybridNetwork[Any], optimizer: torch.optim.Optimizer, total: Tensor, rate: float) -> None:
    """One optimiser step along the mean gradient over all shards, its norm clipped."""
    gradient = total[:-2] / total[-1].clamp(min=1e-6)
    gradient *= min(1.0, MAX_GRADIENT / (float(gradient.norm()) + 1e-12))
    start = 0
    for parameter in network.parameters():
        parameter.grad = gradient[start : start + parameter.numel()].view_as(parameter).clone()
        start += parameter.numel()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def _kept(row_keys: Keys, n_values: int, share: float) -> Float32Array:
    """(B, n_values): 0 for a `share` of them, drawn by each row's key (B,), and for the others what keeps the mean as it was."""
    is_kept = uniforms(keys(row_keys[:, None], np.arange(n_values))) >= share
    return np.where(is_kept, np.float32(1.0 / (1.0 - share)), np.float32(0.0))
