"""A benchmark's fits, each kept as soon as it is done, and what they add up to: mean over seeds with intervals.

    DIR/<set>/<model>/seed-<s>/<split>.parquet     object_id, p_<class> of every class, truth
    DIR/<set>-<model>.json                         the result, written last

A fit whose predictions are there, of the same data and model, is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import augmented, fits
from deeprubin_spark.training.code_version import commit
from deeprubin_spark.training.export import write_last
from deeprubin_spark.training.fits import FITS, Work
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.protocols import Protocol, Split

MIXES: Mapping[str, tuple[str, ...]] = {"blend": ("boosted_trees", "tcn")}  # geometric means of what others give
MODELS = (*FITS, *MIXES)
USUAL = ("boosted_trees", "random_forest", "tcn", "blend")  # networks over the points cost ten times as much
BASELINE = "boosted_trees"  # what a network must beat, object by object
N_SAMPLES = 300
_KEY = b"deeprubin.fit"

_SMALLEST = 1e-6
_COLUMNS = tuple(f"p_{name}" for name in CLASS_NAMES)

FloatArray = NDArray[np.float64]
PerSeed = list[tuple[NDArray[np.int64], FloatArray]]
Groups = dict[str, PerSeed]
Sampled = tuple[dict[str, FloatArray], dict[str, FloatArray]]


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
        depends = [self.set_name, self.model, fits.VERSION, seed, split.name, self.objects.sha256, rows]
        return json.dumps([*depends, augmented.VERSION, self.copies[split.copies].sha256] if split.copies else depends)


def run_benchmark(task: Task, seeds: Sequence[int]) -> dict[str, Any]:
    """All fits of all seeds, then the result, which is also written. Progress goes to standard error."""
    begin = time.perf_counter()
    groups = _groups(task, seeds)
    seconds = time.perf_counter() - begin
    sampled = _sampled(task, groups)
    baseline = replace(task, model=BASELINE)
    is_compared = task.model != BASELINE and _is_done(baseline, seeds)
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
        "scores": {group: {"judged": len(groups[group][0][0]), **summary(of)} for group, of in sampled.items()},
        "against": {BASELINE: _differences(sampled, _sampled(baseline, _groups(baseline, seeds)))} if is_compared else {},
    }
    write_last(task.directory / f"{task.set_name}-{task.model}.json", json.dumps(found, indent=1) + "\n")
    return found


def summary(sampled: Sampled) -> dict[str, Any]:
    """Of each score its mean over seeds, standard deviation between them, and 95 % interval over samples of the objects with replacement."""
    of_seeds, samples = sampled
    found: dict[str, Any] = {}
    for name, values in of_seeds.items():
        spread = round(float(np.std(values, ddof=1)), 5) if len(values) > 1 else None
        found[name] = {"mean": round(float(np.mean(values)), 5), "sd_of_seeds": spread, **_interval(samples[name])}
    return found


def _differences(ours: Mapping[str, Sampled], theirs: Mapping[str, Sampled]) -> dict[str, Any]:
    """Of each group's scores the mean less that of another model, with the 95 % interval over the same samples of objects for both."""
    found: dict[str, Any] = {}
    for group, (own, samples) in ours.items():
        other, of_other = theirs[group]
        found[group] = {
            name: {"mean": round(float(np.mean(own[name]) - np.mean(other[name])), 5), **_interval(samples[name] - of_other[name])}
            for name in own
        }
    return found


def _sampled(task: Task, groups: Groups) -> dict[str, Sampled]:
    """Of each group each score of each seed (S,), and its mean over seeds in each sample of the objects (N_SAMPLES,): the same samples for every model.

    An object that a sample has twice counts twice in every seed.
    """
    return {group: _sampled_group(task, per_seed) for group, per_seed in groups.items()}


def _sampled_group(task: Task, per_seed: PerSeed) -> Sampled:
    """Of one group; per_seed : (judged rows, their probabilities) of each seed."""
    target = task.objects.target
    values = [task.protocol.scores(p, target[rows]) for rows, p in per_seed]
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(N_SAMPLES):
        times = np.bincount(rng.integers(0, len(target), len(target)), minlength=len(target))
        drawn = [np.repeat(np.arange(len(rows)), times[rows]) for rows, _ in per_seed]
        of_seeds = [task.protocol.scores(p[chosen], target[rows][chosen]) for (rows, p), chosen in zip(per_seed, drawn, strict=True)]
        samples.append({name: np.mean([one[name] for one in of_seeds]) for name in values[0]})
    return (
        {name: np.array([one[name] for one in values]) for name in values[0]},
        {name: np.array([one[name] for one in samples]) for name in values[0]},
    )


def _interval(samples: FloatArray) -> dict[str, float]:
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"low": round(float(low), 5), "high": round(float(high), 5)}


def _groups(task: Task, seeds: Sequence[int]) -> Groups:
    """Of each group the judged rows and their probabilities by seed."""
    groups: Groups = {}
    for seed in seeds:
        for group, splits in task.protocol.splits(task.objects.target, task.spectroscopic, seed).items():
            made = [predictions(task, split, seed) for split in splits]
            groups.setdefault(group, []).append((np.concatenate([split.test for split in splits]), np.concatenate(made)))
    return groups


def _is_done(task: Task, seeds: Sequence[int]) -> bool:
    """Whether every fit of the model is there."""
    return all(
        _kept(task, split, seed) is not None
        for seed in seeds
        for splits in task.protocol.splits(task.objects.target, task.spectroscopic, seed).values()
        for split in splits
    )


def _place(task: Task, split: Split, seed: int) -> Path:
    return task.directory / task.set_name / task.model / f"seed-{seed}" / f"{split.name}.parquet"


def _kept(task: Task, split: Split, seed: int) -> FloatArray | None:
    """Probabilities of the judged rows (M, C) that an earlier run left of the same fit."""
    place = _place(task, split, seed)
    if not place.is_file() or (pq.read_schema(place).metadata or {}).get(_KEY) != task.key(seed, split).encode():
        return None
    table = pq.read_table(place, columns=list(_COLUMNS))
    return np.column_stack([column.to_numpy() for column in table.columns])


def predictions(task: Task, split: Split, seed: int) -> FloatArray:
    """Probabilities of the judged rows (M, C), from the file if they are there."""
    kept = _kept(task, split, seed)
    if kept is not None:
        return kept
    place = _place(task, split, seed)
    begin = time.perf_counter()
    made = _made(task, split, seed, place)
    table = pa.table(
        {
            "object_id": task.objects.object_id[split.test],
            **dict(zip(_COLUMNS, made.T, strict=True)),
            "truth": np.array(CLASS_NAMES)[task.objects.target[split.test]],
        }
    )
    _write_table(place, table.replace_schema_metadata({_KEY: task.key(seed, split).encode()}))
    seconds = time.perf_counter() - begin
    print(f"  {task.set_name} {task.model} seed {seed} {split.name}: {len(split.train):,} objects train, {seconds:.0f} s", file=sys.stderr)
    return made


def _made(task: Task, split: Split, seed: int, place: Path) -> FloatArray:
    """Probabilities of the judged rows by a fit, or pooled from other models'."""
    if task.model in MIXES:
        return pooled([predictions(replace(task, model=name), split, seed) for name in MIXES[task.model]])
    train = augmented.training_set(task.objects, split, task.copies.get(split.copies))
    of_class = task.protocol.weight(np.bincount(train.target, minlength=len(CLASS_NAMES)).astype(np.float64))
    weight = of_class / of_class[train.target].mean()
    unfinished = place.with_name(f"{split.name}-{hashlib.sha256(task.key(seed, split).encode()).hexdigest()[:8]}")
    work = Work(train, task.objects.take(split.test), weight, seed, unfinished)
    made = augmented.fit_of(task.model, split)(work)
    shutil.rmtree(work.place, ignore_errors=True)
    return augmented.with_their_shares(made, work, split)


def pooled(of_models: Sequence[FloatArray]) -> FloatArray:
    """Logarithmic opinion pool with equal weights (Genest & Zidek 1986, Statistical Science 1, 114):  p ~ (prod_k p_k)^(1/K).  (M, C) each."""
    raised = np.exp(np.mean(np.log(np.maximum(of_models, _SMALLEST)), axis=0))
    total: FloatArray = raised.sum(axis=1, keepdims=True)
    return raised / total


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
