"""The epochs: batches in, one gradient over all shards, one step, a checkpoint after each epoch.

A process works on the shards it owns. Two processes with a shard each, and one process with both, add up the same gradients in the same order, so they
take the same steps: what a cluster trains can be checked on one core. Nothing is drawn from a running random state: noise and hidden
stretches follow from row, epoch and seed, so a resumed run goes on as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeprubin_spark.errors import DataGateError
from deeprubin_spark.models.inputs import N_PATTERNS, FeatureScaler, Float32Array, channels, noise_patterns, redrawn
from deeprubin_spark.models.losses import summed_loss
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.training.checkpoints import Checkpoints, State
from deeprubin_spark.training.export import feature_rows
from deeprubin_spark.training.reader import Batch

WARM_UP = 0.05  # [1] of all steps
WEIGHT_DECAY = 0.6
MAX_GRADIENT = 1.0
HIDDEN_FEATURES = 0.5  # [1] of the feature values are hidden from a network in training: hundreds of them say the same in another way
HIDDEN_STEPS = (6, 20)  # of the grid's 64: how much of a curve is hidden, in half of its epochs

Value = TypeVar("Value")
Batches = Callable[[int, int], Iterator[Batch]]


@dataclass(frozen=True)
class Plan:
    """All that decides the result, small enough to be sent to every rank. class_weight: (C,)."""

    shape: TcnShape
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


@dataclass(frozen=True)
class Trained:
    """Weights after the last epoch as safetensors bytes, and each epoch's weighted mean loss."""

    network: bytes
    losses: tuple[float, ...]


def train(plan: Plan, collective: Collective, batches: Batches, checkpoints: Checkpoints) -> Trained:
    """Train from the last checkpoint, or from the start, to the last epoch.

    batches(epoch, shard): that shard's batches. Process r owns the shards r, r + size, ...
    Raises DataGateError where an epoch did not bring every row exactly once.
    """
    torch.set_num_threads(1)  # sums over threads come in no fixed order
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(plan.seed)
    network = LightCurveTcn(plan.shape)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY)
    state = collective.from_first(checkpoints.latest() if collective.rank == 0 else None) or State.of(network, optimizer, ())
    state.restore(network, optimizer)
    prepare = Preparation(plan)
    losses = list(state.losses)
    for epoch in range(len(losses), plan.epochs):
        losses.append(_epoch(epoch, plan, collective, batches, network, optimizer, prepare))
        state = State.of(network, optimizer, tuple(losses))
        if collective.rank == 0:
            checkpoints.save(state)
    return Trained(state.network, tuple(losses))


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up over the first 5 % of the steps, then half a cosine to 0."""
    total = plan.epochs * plan.steps_per_epoch
    warm = max(1, round(WARM_UP * total))
    return plan.learning_rate * min((step + 1) / warm, 0.5 * (1.0 + math.cos(math.pi * max(0, step - warm) / max(1, total - warm))))


class Preparation:
    """Batches to tensors: scaled, redrawn within the light curve's errors, and partly hidden."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._patterns = noise_patterns(plan.n_steps, plan.seed, plan.shape.n_bands)

    def __call__(self, batch: Batch, epoch: int) -> tuple[Tensor, ...]:
        """channels, features, target, weight, for the reconstruction mean, sd, hidden, and what dropout keeps; rows first."""
        rows = feature_rows(batch)
        made = channels(rows)
        draws = _random_words(batch["row"].astype(np.uint64), epoch, self._plan.seed)
        kappa = (draws[:, 0] % 1024 / 1024.0).astype(np.float32)
        sign = np.where(draws[:, 1] % 2 == 0, 1.0, -1.0).astype(np.float32)[:, None, None]
        hidden = self._hidden(draws)
        given = redrawn(made, sign * self._patterns[draws[:, 2] % N_PATTERNS], kappa)
        n_bands = self._plan.shape.n_bands
        given[:, : 2 * n_bands] *= 1.0 - hidden[:, None]
        given[:, -1] = hidden
        weight = batch["weight"] * self._plan.class_weight[batch["label"]]
        arrays = (
            given,
            self._plan.scaler.scaled(batch["features"]) * _kept(draws[:, 6], self._plan.shape.n_features, HIDDEN_FEATURES),
            batch["label"].astype(np.int64),
            weight,
            made[:, :n_bands],
            made[:, n_bands : 2 * n_bands],
            hidden,
            _kept(draws[:, 7], self._plan.shape.hidden, self._plan.shape.dropout),
        )
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)

    def _hidden(self, draws: NDArray[np.uint64]) -> Float32Array:
        """(B, T) 1 where hidden: one stretch of 6 to 19 steps in every second row, none in the others."""
        n_steps = self._plan.n_steps
        length = HIDDEN_STEPS[0] + draws[:, 3] % (HIDDEN_STEPS[1] - HIDDEN_STEPS[0])
        start = draws[:, 4] % (n_steps - length + 1)
        steps = np.arange(n_steps, dtype=np.uint64)
        inside = (steps >= start[:, None]) & (steps < (start + length)[:, None])
        return (inside & (draws[:, 5] % 2 == 0)[:, None]).astype(np.float32)


def _epoch(
    epoch: int,
    plan: Plan,
    collective: Collective,
    batches: Batches,
    network: LightCurveTcn,
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
            total += _gradient(network, prepare(batch, epoch), plan.noise)
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


def batch_loss(network: LightCurveTcn, prepared: tuple[Tensor, ...], noise: str) -> tuple[Tensor, Tensor]:
    """Summed loss of a batch that `Preparation` made, and its weights (B,)."""
    given, features, target, weight, mean, measured_sd, hidden, kept = prepared
    network.thinning.kept = kept
    logits, rebuilt, log_sd = network(given, features)
    return summed_loss(logits, rebuilt, log_sd, target, weight, mean, measured_sd, hidden, noise), weight


def _gradient(network: LightCurveTcn, prepared: tuple[Tensor, ...], noise: str) -> Tensor:
    """Gradient of a batch's summed loss, then the summed loss and the summed weight: (P + 2,)."""
    network.zero_grad(set_to_none=True)
    loss, weight = batch_loss(network, prepared, noise)
    loss.backward()
    return torch.cat(
        [*(p.grad.reshape(-1) for p in network.parameters() if p.grad is not None), loss.detach().reshape(1), weight.sum().reshape(1)]
    )


def _step(network: LightCurveTcn, optimizer: torch.optim.Optimizer, total: Tensor, rate: float) -> None:
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


def _random_words(row: NDArray[np.uint64], epoch: int, seed: int) -> NDArray[np.uint64]:
    """Eight independent 64-bit words for each row, epoch and seed. (B,) to (B, 8)."""
    with np.errstate(over="ignore"):
        state = row * np.uint64(6_364_136_223_846_793_005) + np.uint64((epoch * 1_000_003 + seed * 7_919 + 1) % 2**63)
    return _words(state, 8)


def _words(state: NDArray[np.uint64], n_words: int) -> NDArray[np.uint64]:
    """Independent 64-bit words of each state: splitmix64 (Steele, Lea & Flood 2014). (B,) to (B, n_words)."""
    count = np.arange(1, n_words + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = state[:, None] * np.uint64(0xD1342543DE82EF95) + count * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def _kept(word: NDArray[np.uint64], n_values: int, share: float) -> Float32Array:
    """(B, n_values): 0 for a `share` of them, drawn by each row's word (B,), and for the others what keeps the mean as it was."""
    is_kept = _words(word, n_values) >> np.uint64(11) >= np.uint64(round(share * 2**53))
    return np.where(is_kept, np.float32(1.0 / (1.0 - share)), np.float32(0.0))
