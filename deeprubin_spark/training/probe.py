"""Use Petastorm or Horovod once, in a process that does nothing else: `deeprubin self-test` runs

python -m deeprubin_spark.training.probe petastorm FILE_URL       a file of 20 rows, column `row`, in 4 row groups
python -m deeprubin_spark.training.probe horovod
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from deeprubin_spark.errors import DataGateError

RANKS = 2


def petastorm(url: str) -> str:
    """Read the file in two shards; returns what was seen. Raises DataGateError unless each row came once."""
    from deeprubin_spark.training import petastorm_compat

    rows = [
        int(row)
        for rank in range(RANKS)
        for batch in petastorm_compat.read_epoch([url], ["row"], rows=10, epoch=0, rank=rank, ranks=RANKS)
        for row in batch["row"]
    ]
    if sorted(rows) != list(range(20)):
        raise DataGateError(f"Petastorm: expected rows 0 to 19 once each, read {sorted(rows)}")
    return "20 rows in two shards, once each"


def horovod() -> str:
    """Sum the ranks' numbers in two processes under Spark; returns what was seen. Raises DataGateError if a rank has another sum."""
    from deeprubin_spark import spark
    from deeprubin_spark.settings import SparkSettings
    from deeprubin_spark.training import horovod_compat

    with spark.session(SparkSettings(master=f"local[{RANKS}]", driver_memory="1g"), "probe"):
        sums = horovod_compat.run_on_spark(sum_of_ranks, (), processes=RANKS, start_timeout_s=120)
    if sums != [3.0, 3.0]:
        raise DataGateError(f"Horovod: expected the sum of 1 and 2 from both ranks, got {sums}")
    return "allreduce of two processes under Spark"


def sum_of_ranks() -> float:
    """In a rank: 1 + 2 over the ring."""
    import torch

    from deeprubin_spark.training import horovod_compat

    ring = horovod_compat.collective()
    return float(ring.allreduce(torch.tensor([ring.rank() + 1.0]), op=ring.Sum).item())


PROBES: dict[str, Callable[..., str]] = {"petastorm": petastorm, "horovod": horovod}

if __name__ == "__main__":
    # By its real name, so that ranks can import what they are sent.
    from deeprubin_spark.training import probe

    print(probe.PROBES[sys.argv[1]](*sys.argv[2:]))
