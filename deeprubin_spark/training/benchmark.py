"""A benchmark's fits, each kept as soon as it is done, and what they add up to: mean over seeds with intervals.

    DIR/<set>/<model>/seed-<s>/<split>.parquet     object_id, p_<class> of every class, truth
    DIR/<set>-<model>.json                         the result, written last

A fit whose predictions are there, of the same data and model, is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deeprubin_spark.models.baseline import BASELINES
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import augmented
from deeprubin_spark.training.code_version import commit
from deeprubin_spark.training.export import write_last
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.protocols import Protocol, Split

MODELS = tuple(BASELINES)
N_SAMPLES = 300
_KEY = b"deeprubin.fit"

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One benchmark with one model: its set's name and protocol, the model's name, the objects and which of them have a spectrum (N,), where to write.

    copies : of training objects, by survey of copies      settings : given in place of the defaults, as 'section.key=value'
    """

    set_name: str
    protocol: Protocol
    model: str
    objects: Labelled
    spectroscopic: NDArray[np.bool_]
    directory: Path
    copies: Mapping[str, Labelled] = field(default_factory=dict)
    settings: tuple[str, ...] = ()

    def command(self, seeds: Sequence[int]) -> str:
        """What makes this result again, without the places of one machine."""
        given = "".join(f" --set {one}" for one in self.settings if one.startswith("augmentation."))
        return f"deeprubin-benchmark --set {self.set_name} --data PATH --out DIR --models {self.model} --seeds {max(seeds)}{given}"

    def key(self, seed: int, split: Split) -> str:
        """What a fit depends on."""
        rows = hashlib.sha256(split.train.tobytes() + split.test.tobytes()).hexdigest()
        depends = [self.set_name, self.model, seed, split.name, self.objects.sha256, rows]
        return json.dumps([*depends, augmented.VERSION, self.copies[split.copies].sha256] if split.copies else depends)


def run_benchmark(task: Task, seeds: Sequence[int]) -> dict[str, Any]:
    """All fits of all seeds, then the result, which is also written. Progress goes to standard error."""
    groups: dict[str, list[tuple[NDArray[np.int64], FloatArray]]] = {}
    seconds = 0.0
    for seed in seeds:
        for group, splits in task.protocol.splits(task.objects.target, task.spectroscopic, seed).items():
            begin = time.perf_counter()
            made = [_predictions(task, split, seed) for split in splits]
            seconds += time.perf_counter() - begin
            rows = np.concatenate([split.test for split in splits])
            groups.setdefault(group, []).append((rows, np.concatenate(made)))
    found = {
        "set": task.set_name,
        "command": task.command(seeds),
        "commit": commit(),
        "model": task.model,
        "seeds": list(seeds),
        "with_redshift": task.protocol.with_redshift,
        "published": task.protocol.published,
        "data_sha256": task.objects.sha256,
        "copies": {name: {"rows": len(of.target), "data_sha256": of.sha256} for name, of in task.copies.items()},
        "objects": len(task.objects.target),
        "features": len(task.objects.names),
        "seconds": round(seconds, 1),
        "scores": {group: summary(task, per_seed) for group, per_seed in groups.items()},
    }
    write_last(task.directory / f"{task.set_name}-{task.model}.json", json.dumps(found, indent=1) + "\n")
    return found


def summary(task: Task, per_seed: Sequence[tuple[NDArray[np.int64], FloatArray]]) -> dict[str, Any]:
    """Of each score its mean over seeds, standard deviation between them, and 95 % interval over samples of the objects with replacement.

    per_seed : (judged rows, their probabilities) of each seed. An object that a sample has twice counts twice in every seed.
    """
    target = task.objects.target
    values = [task.protocol.scores(p, target[rows]) for rows, p in per_seed]
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(N_SAMPLES):
        times = np.bincount(rng.integers(0, len(target), len(target)), minlength=len(target))
        drawn = [np.repeat(np.arange(len(rows)), times[rows]) for rows, _ in per_seed]
        of_seeds = [task.protocol.scores(p[chosen], target[rows][chosen]) for (rows, p), chosen in zip(per_seed, drawn, strict=True)]
        samples.append({name: np.mean([one[name] for one in of_seeds]) for name in values[0]})
    found: dict[str, Any] = {"judged": len(per_seed[0][0])}
    for name in values[0]:
        low, high = np.quantile([sample[name] for sample in samples], [0.025, 0.975])
        of_seeds_alone = [one[name] for one in values]
        found[name] = {
            "mean": round(float(np.mean(of_seeds_alone)), 5),
            "sd_of_seeds": round(float(np.std(of_seeds_alone, ddof=1)), 5) if len(values) > 1 else None,
            "low": round(float(low), 5),
            "high": round(float(high), 5),
        }
    return found


def _predictions(task: Task, split: Split, seed: int) -> FloatArray:
    """Probabilities of the judged rows (M, C), from the file if they are there."""
    place = task.directory / task.set_name / task.model / f"seed-{seed}" / f"{split.name}.parquet"
    key = task.key(seed, split).encode()
    columns = [f"p_{name}" for name in CLASS_NAMES]
    if place.is_file() and (pq.read_schema(place).metadata or {}).get(_KEY) == key:
        table = pq.read_table(place, columns=columns)
        return np.column_stack([column.to_numpy() for column in table.columns])
    begin = time.perf_counter()
    made = augmented.predictions(task.model, task.protocol, task.objects, split, task.copies.get(split.copies), seed)
    table = pa.table(
        {
            "object_id": task.objects.object_id[split.test],
            **dict(zip(columns, made.T, strict=True)),
            "truth": np.array(CLASS_NAMES)[task.objects.target[split.test]],
        }
    )
    _write_table(place, table.replace_schema_metadata({_KEY: key}))
    seconds = time.perf_counter() - begin
    print(f"  {task.set_name} {task.model} seed {seed} {split.name}: {len(split.train):,} objects train, {seconds:.0f} s", file=sys.stderr)
    return made


def _write_table(place: Path, table: pa.Table) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    pq.write_table(table, fresh)
    fresh.replace(place)


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result for a terminal."""
    told = [f"  {result['set']}  {result['model']}  {result['objects']:,} objects, seeds {', '.join(map(str, result['seeds']))}"]
    for group, scores in result["scores"].items():
        told.append(f"    {group}: {scores['judged']:,} judged")
        told += [
            f"      {name:<18} {score['mean']:.4f}   [{score['low']:.4f}, {score['high']:.4f}]"
            for name, score in scores.items()
            if name != "judged"
        ]
    return [*told, f"    published: {result['published']}"]
