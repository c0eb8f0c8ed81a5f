"""Core-microseconds: CPU time, user and system, of everything that works on the task."""

from __future__ import annotations

import time
from collections.abc import Callable

from deeprubin_spark.runs import process_tree_seconds

__all__ = ["cheapest", "process_tree_seconds"]


def cheapest(work: Callable[[], object], n: int, clock: Callable[[], float] = time.process_time, runs: int = 3) -> float:
    """[core-us] for each of the `n` things that `work` does, the least of some runs after one that is not counted.

    The clock is this process's CPU time; `process_tree_seconds` has that of Spark's JVM and its Python workers too. The least, because whatever
    else runs on the machine can only add to a run.
    """
    work()
    costs = []
    for _ in range(runs):
        begin = clock()
        work()
        costs.append(clock() - begin)
    return min(costs) / n * 1e6
