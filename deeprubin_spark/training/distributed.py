"""The same loop in several processes at once: one Horovod rank under each of `processes` Spark tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from torch import Tensor

from deeprubin_spark.errors import ConfigError, RetryableError
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.loop import Plan, Trained, train
from deeprubin_spark.training.reader import Shards

Value = TypeVar("Value")


class Ring:
    """Horovod's processes as a `loop.Collective`."""

    def __init__(self, horovod: ModuleType) -> None:
        self._horovod = horovod
        self.rank: int = horovod.rank()
        self.size: int = horovod.size()

    def sum(self, values: Tensor) -> Tensor:
        """Allreduce."""
        # Named, or each call would be a new tensor to Horovod and fill its cache of what to expect.
        total: Tensor = self._horovod.allreduce(values, op=self._horovod.Sum, name=f"sum.{values.dtype}.{values.numel()}")
        return total

    def from_first(self, value: Value) -> Value:
        """Broadcast from rank 0."""
        # Named, or Horovod takes the value's type as the name, and ranks that hold different types wait for each other for ever.
        received: Value = self._horovod.broadcast_object(value, root_rank=0, name="from_first")
        return received


def train_rank(plan: Plan, shards: Shards, checkpoint_directory: str) -> Trained:
    """Runs in every rank. Only rank 0 reads and writes checkpoints."""
    from deeprubin_spark.training import horovod_compat  # never in the driver of a night

    ring = Ring(horovod_compat.collective())
    if ring.size != plan.n_shards:
        raise ConfigError(
            f"training: the set was exported for {plan.n_shards} ranks, {ring.size} run; set training.processes to one of the two"
        )
    return train(
        plan, ring, lambda epoch, shard: shards.epoch(epoch, shard, plan.batch_size, plan.seed), Checkpoints(Path(checkpoint_directory))
    )


def train_on_spark(plan: Plan, shards: Shards, checkpoint_directory: Path, *, start_timeout_s: int, restarts: int) -> Trained:
    """Train with one rank for each shard. A run that lost a rank is started again from its checkpoint, as long as it gets further each time.

    RetryableError where ranks do not start in time, or are lost more often than `restarts`.
    """
    from deeprubin_spark.training import horovod_compat

    checkpoints = Checkpoints(checkpoint_directory)
    for left in range(restarts, -1, -1):
        before = checkpoints.epochs_done()
        try:
            arguments = (plan, shards, str(checkpoint_directory))
            return horovod_compat.run_on_spark(train_rank, arguments, processes=plan.n_shards, start_timeout_s=start_timeout_s)[0]
        except RetryableError as error:
            done = checkpoints.epochs_done()
            if left == 0 or done == before:
                raise
            print(f"training: {error} Starting again after epoch {done} of {plan.epochs}, {left} more times at most", file=sys.stderr)
    raise AssertionError("unreachable: the last attempt returns or raises")
