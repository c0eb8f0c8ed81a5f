"""One epoch of a shard, in batches: Petastorm reads row groups, here they become batches of one size, in an order that only the seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Batch = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Shards:
    """Files of one row group of `group_rows` rows each, shared out among `count` shards: file i belongs to shard i % count. columns: read."""

    files: tuple[str, ...]
    group_rows: int
    count: int
    columns: tuple[str, ...]

    @property
    def rows_of_one(self) -> int:
        """[1] Rows of each shard."""
        return self.group_rows * (len(self.files) // self.count)

    def epoch(self, epoch: int, shard: int, batch_size: int, seed: int) -> Iterator[Batch]:
        """The shard's batches of an epoch: the same in every run, another order every epoch. DataGateError where rows are lost."""
        from deeprubin_spark.training import petastorm_compat  # only in training processes: what it does to one cannot be undone

        groups = petastorm_compat.read_epoch(self.files, self.columns, rows=self.rows_of_one, epoch=epoch, rank=shard, ranks=self.count)
        return _batches(_shuffled(groups, epoch, seed), batch_size)


def _shuffled(groups: Iterator[Batch], epoch: int, seed: int) -> Iterator[Batch]:
    """The rows of each row group in an order of their own."""
    for group in groups:
        order = np.random.default_rng([seed, epoch, int(group["row"].min())]).permutation(len(group["row"]))
        yield {name: values[order] for name, values in group.items()}


def _batches(groups: Iterator[Batch], batch_size: int) -> Iterator[Batch]:
    """Batches of `batch_size` rows across row groups; the last may be smaller."""
    waiting: list[Batch] = []
    n_waiting = 0
    for group in groups:
        waiting.append(group)
        n_waiting += len(group["row"])
        while n_waiting >= batch_size:
            joined = _joined(waiting)
            yield {name: values[:batch_size] for name, values in joined.items()}
            waiting = [{name: values[batch_size:] for name, values in joined.items()}]
            n_waiting -= batch_size
    if n_waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
