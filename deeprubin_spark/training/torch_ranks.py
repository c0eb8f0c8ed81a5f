"""The same ranks without Horovod: Spark's TorchDistributor and torch.distributed, for runtimes that ship no Horovod. The only file that touches them.

A rank is a process that torch starts under a Spark task of a barrier stage, or, where the session is local, under the driver. Only the training job and its
ranks import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch.distributed
from pyspark import SparkContext
from torch import Tensor

from deeprubin_spark.errors import ConfigError, RetryableError

Result = TypeVar("Result")
Value = TypeVar("Value")


class Group:
    """torch.distributed's processes as a `loop.Collective`, with the processor's backend."""

    def __init__(self) -> None:
        torch.distributed.init_process_group("gloo")
        self.rank: int = torch.distributed.get_rank()
        self.size: int = torch.distributed.get_world_size()

    def sum(self, values: Tensor) -> Tensor:
        """Allreduce."""
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    def from_first(self, value: Value) -> Value:
        """Broadcast from rank 0."""
        held = [value]
        torch.distributed.broadcast_object_list(held, src=0)
        return held[0]


def run_on_spark(function: Callable[..., Result], arguments: Sequence[Any], *, processes: int) -> Result:
    """Run `function(*arguments)` in `processes` ranks at once; returns rank 0's result.

    function : of an importable module; it makes a `Group` first.   arguments, result : anything that pickles, small.
    Raises ConfigError where there is no classic session, RetryableError where a rank died.
    """
    context = SparkContext._active_spark_context
    if context is None:
        raise ConfigError("TorchDistributor needs a classic Spark session in this process, found none, or Spark Connect.")
    from pyspark.ml.torch.distributor import TorchDistributor

    is_local = str(context.master).startswith("local")
    distributor = TorchDistributor(num_processes=processes, local_mode=is_local, use_gpu=False)
    try:
        return cast(Result, distributor.run(function, *arguments))
    except RuntimeError as error:
        raise RetryableError(
            f"torch.distributed: a rank failed ({error}); its own message is above. The same command resumes from the last checkpoint."
        ) from error
