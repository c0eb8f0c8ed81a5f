"""The same loop in several processes at once: one rank under each of `processes` Spark tasks, joined by Horovod or by torch.distributed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from torch import Tensor

from deeprubin_spark.errors import ConfigError, RanksMissingError, RetryableError
from deeprubin_spark.settings import Launcher, TrainingSettings
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.loop import Collective, Plan, Trained, train
from deeprubin_spark.training.progress import told
from deeprubin_spark.training.reader import Shards

Value = TypeVar("Value")
_POLL = 0.001  # [s]


class Ring:
    """Horovod's processes as a `loop.Collective`."""

    def __init__(self, horovod: ModuleType) -> None:
        self._horovod = horovod
        self.rank: int = horovod.rank()
        self.size: int = horovod.size()

    def sum(self, values: Tensor) -> Tensor:
        """Allreduce."""
        # Named, or each call would be a new tensor to Horovod and fill its cache of what to expect.
        handle = self._horovod.allreduce_async(values, op=self._horovod.Sum, name=f"sum.{values.dtype}.{values.numel()}")
        while not self._horovod.poll(handle):
            time.sleep(_POLL)  # Horovod's own wait turns in a circle, and takes the core that other threads work on
        total: Tensor = self._horovod.synchronize(handle)
        return total

    def from_first(self, value: Value) -> Value:
        """Broadcast from rank 0."""
        # Named, or Horovod takes the value's type as the name, and ranks that hold different types wait for each other for ever.
        received: Value = self._horovod.broadcast_object(value, root_rank=0, name="from_first")
        return received


def train_rank(plan: Plan, shards: Shards, checkpoint_directory: str, launcher: Launcher) -> Trained:
    """Runs in every rank. Only rank 0 reads and writes checkpoints."""
    ranks = _joined(launcher)
    if ranks.size > plan.n_shards:
        raise ConfigError(
            f"training: the set was exported for {plan.n_shards} ranks, {ranks.size} run; set training.processes to one of the two"
        )
    return train(
        plan, ranks, lambda epoch, shard: shards.epoch(epoch, shard, plan.batch_size, plan.seed), Checkpoints(Path(checkpoint_directory))
    )


def train_on_spark(plan: Plan, shards: Shards, checkpoint_directory: Path, settings: TrainingSettings) -> Trained:
    """Train with one rank for each shard. A run that lost a rank is started again from its checkpoint, as long as it gets further each time.

    Where so many ranks do not start in time, fewer do: they hold the same shards between them, and take the same steps.
    RetryableError where not even one starts, or ranks are lost more often than `training.restarts`.
    """
    checkpoints = Checkpoints(checkpoint_directory)
    arguments = (plan, shards, str(checkpoint_directory), settings.launcher)
    processes, left = plan.n_shards, settings.restarts
    while True:
        before = checkpoints.epochs_done()
        try:
            with told(checkpoints, plan):
                return _run(arguments, settings, processes)
        except RanksMissingError as error:
            if processes == 1:
                raise
            processes -= 1
            print(f"training: {error} Trying with {processes}", file=sys.stderr)
        except RetryableError as error:
            done = checkpoints.epochs_done()
            if left == 0 or done == before:
                raise
            print(f"training: {error} Starting again after epoch {done} of {plan.epochs}, {left} more times at most", file=sys.stderr)
            left -= 1


# Both launchers' modules are imported where they are used: never in the driver of a night.
def _joined(launcher: Launcher) -> Collective:
    """This process among the ranks."""
    if launcher == "torch":
        from deeprubin_spark.training import torch_ranks

        return torch_ranks.Group()
    from deeprubin_spark.training import horovod_compat

    return Ring(horovod_compat.collective())


def _run(arguments: tuple[Plan, Shards, str, Launcher], settings: TrainingSettings, processes: int) -> Trained:
    """What rank 0 trained."""
    if settings.launcher == "torch":
        from deeprubin_spark.training import torch_ranks

        return torch_ranks.run_on_spark(train_rank, arguments, processes=processes)
    from deeprubin_spark.training import horovod_compat

    return horovod_compat.run_on_spark(train_rank, arguments, processes=processes, start_timeout_s=settings.start_timeout_s)[0]
