"""Core-microseconds: CPU time, user and system, of everything that works on the task."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from deeprubin_spark import cpu_time

__all__ = ["Slope", "cheapest", "in_turn", "process_tree_seconds", "slope"]

T = TypeVar("T")
process_tree_seconds = cpu_time.of_this_job().look  # [s] of this process, Spark's JVM and its Python workers
_FEW = 5  # of the small size in the large one


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


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], n: int, runs: int) -> tuple[float, float]:
    """`cheapest` of two that take turns, so that a machine whose speed changes favours neither."""
    ours(), theirs()
    costs: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for work, spent in zip((ours, theirs), costs, strict=True):
            begin = time.process_time()
            work()
            spent.append(time.process_time() - begin)
    return min(costs[0]) / n * 1e6, min(costs[1]) / n * 1e6


class Slope(NamedTuple):
    """What one more costs, [core-us], and what a run costs whatever its size, [core-s]."""

    each: float
    fixed_core_s: float


def slope(work: Callable[[Sequence[T]], object], parts: Sequence[T], n_a_part: int, runs: int = 3) -> Slope:
    """Cost of a job in Spark, by the straight line through two sizes: a fifth of the `parts`, and all of them, `n_a_part` things in each.

    Spark plans, compiles and commits for some core-seconds a job, as much as a hundred thousand alerts cost; on a few of them that would be all one
    sees. One run of all parts comes first and is not counted: in it the JVM compiles what the others run. Then the sizes take turns, so that
    what is still being compiled, and the machine's clock, favours neither; of each the least counts.
    """
    few = parts[: max(1, len(parts) // _FEW)]
    work(parts)
    costs: dict[int, list[float]] = {len(few): [], len(parts): []}
    for some in [few, parts] * runs:
        begin = process_tree_seconds()
        work(some)
        costs[len(some)].append(process_tree_seconds() - begin)
    small, large = min(costs[len(few)]), min(costs[len(parts)])
    a_part = (large - small) / (len(parts) - len(few))
    return Slope(a_part / n_a_part * 1e6, small - a_part * len(few))
