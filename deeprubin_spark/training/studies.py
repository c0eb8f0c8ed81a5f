"""Studies of the network: rows of numbers with intervals, made of fits that are each kept as soon as they are done.

DIR/networks/<key>.safetensors     a trained network, by all that decides it; one that is there is not trained again
DIR/study-<name>.json              the result, written last
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file

from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows, FeatureScaler, channels
from deeprubin_spark.models.tcn import TcnShape
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.export import write_last
from deeprubin_spark.training.fits import BATCH_SIZE, EPOCHS, LEARNING_RATE
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.loop import Plan

VERSION = 1  # of what a fit does; part of every key
N_SAMPLES = 300
TRAIN_SHARE, MOST_JUDGED = 0.1, 6000
SPLIT_SEED = 0  # one split for all seeds
FAINT = 10.0  # [1] signal to noise
_BLOCK = 512

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Scores = dict[str, float]
OfSeed = Callable[[IntArray], Scores]
Number = dict[str, float | None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What a study works on: the objects, which of them have a spectrum (N,), where fits and result go, the command that asks for it, its code's commit.

    copies : of objects with a spectrum, made by augmentation, with a spectrum's class; None: there are none      epochs : of each fit
    note : what a reader of the result has to know beside the command
    """

    objects: Labelled
    spectroscopic: NDArray[np.bool_]
    directory: Path
    command: str
    commit: str
    copies: Labelled | None = None
    epochs: int = EPOCHS
    note: str = ""

    @cached_property
    def classes(self) -> IntArray:
        """Places in the taxonomy of the classes that objects have: (C,); networks of a study tell these alone apart."""
        return np.unique(self.objects.target)

    def target(self, of: Labelled | None = None) -> IntArray:
        """Of each object the place of its class among `classes` (N,)."""
        return np.searchsorted(self.classes, (of or self.objects).target)

    def in_taxonomy(self, probabilities: FloatArray) -> FloatArray:
        """(M, C) to (M, classes of the taxonomy), 0 for a class that no object has."""
        full = np.zeros((len(probabilities), len(CLASS_NAMES)))
        full[:, self.classes] = probabilities
        return full

    def rows(self, of: Labelled | None = None) -> FeatureRows:
        """All objects as the network over the grid reads them."""
        return replace((of or self.objects).model_rows(), points=None)

    def plan(self, rows: FeatureRows, names: Sequence[str], seed: int, noise: str = "gaussian") -> Plan:
        """Of a fit on all of `rows`, objects of the same weight."""
        return Plan(
            shape=TcnShape(len(names), len(self.classes), n_bands=rows.grid_mean.shape[1]),
            scaler=FeatureScaler.fit(rows.values, names),
            class_weight=np.ones(len(self.classes), np.float32),
            n_rows=len(rows),
            n_shards=1,
            n_steps=rows.grid_time.shape[1],
            epochs=self.epochs,
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            seed=seed,
            noise=noise,
        )

    def network(
        self, name: str, seed: int, empty: Callable[[], HybridNetwork[Any]], fit: Callable[[Path], HybridNetwork[Any]]
    ) -> HybridNetwork[Any]:
        """The network that `fit` makes, given a place for checkpoints; from the file if it is there.

        name : all that decides it beside seed, epochs and objects      empty() : a network of its layers with any weights
        """
        key = json.dumps([VERSION, name, seed, self.epochs, self.objects.sha256])
        place = self.directory / "networks" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
        if not place.is_file():
            begin = time.process_time()
            made = fit(place.with_suffix(""))
            seconds = time.process_time() - begin
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = place.with_suffix(f".{os.getpid()}")
            weights = {of: tensor.detach().contiguous() for of, tensor in made.state_dict().items()}
            save_file(weights, fresh, {"key": key, "seconds": f"{seconds:.1f}"})
            fresh.replace(place)
            print(f"  {name} seed {seed}: {seconds:.0f} core-s", file=sys.stderr)
        network = empty()
        with safe_open(place, "pt") as kept:
            network.load_state_dict({of: kept.get_tensor(of) for of in kept.keys()})  # noqa: SIM118  # not a mapping
            self.seconds[name, seed] = float(kept.metadata()["seconds"])
        return network.eval()

    @cached_property
    def seconds(self) -> dict[tuple[str, int], float]:
        """[s] of one core that each fit took which this study has used."""
        return {}


def kept_arrays(place: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """The arrays in an .npz file; what `make` gives, written there first, where it is not yet."""
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.stem}.{os.getpid()}.npz")
        np.savez(fresh, **make())
        fresh.replace(place)
    with np.load(place, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept}


def signal_to_noise(objects: Labelled) -> FloatArray:
    """Highest |mean / sd| of the Gaussian process on the grid, in any band (N,) [1]."""
    ratio = np.abs(objects.grid_mean.astype(np.float64)) / np.maximum(objects.grid_sd, 1e-12)
    return np.asarray(ratio.max(axis=(1, 2)))


def body(network: HybridNetwork[Any], plan: Plan, rows: FeatureRows) -> torch.Tensor:
    """`HybridNetwork.joined` of all rows (M, S + H), the curves as measured."""
    made = []
    with torch.inference_mode():
        for start in range(0, len(rows), _BLOCK):
            block = rows.take(slice(start, start + _BLOCK))
            made.append(network.joined(torch.from_numpy(channels(block)), torch.from_numpy(plan.scaler.scaled(block.values)))[0])
    return torch.cat(made)


def summarised(of_seeds: Sequence[OfSeed], n_objects: int, derived: Callable[[Scores], Scores] = lambda means: {}) -> dict[str, Number]:
    """Of each score its mean over seeds, standard deviation between them, and 95 % interval over samples of the objects with replacement.

    of_seeds : for each seed (rows among n_objects) -> scores; an object that a sample has twice counts twice in every seed.
    derived : scores made of the means over seeds, such as ratios of differences.
    """
    everything = np.arange(n_objects)
    alone = [one(everything) for one in of_seeds]
    means = _means(alone, derived)
    spread = [each | derived(each) for each in alone]
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(N_SAMPLES):
        rows = rng.integers(0, n_objects, n_objects)
        samples.append(_means([one(rows) for one in of_seeds], derived))
    found: dict[str, Number] = {}
    for name in means:
        low, high = np.nanquantile([sample[name] for sample in samples], [0.025, 0.975])
        sd = float(np.std([each[name] for each in spread], ddof=1)) if len(spread) > 1 else None
        found[name] = number(means[name], sd, float(low), float(high))
    return found


def number(mean: float, sd_of_seeds: float | None, low: float | None, high: float | None) -> Number:
    """As results hold one; None for what has no spread or interval, or is not a number."""
    every = {"mean": mean, "sd_of_seeds": sd_of_seeds, "low": low, "high": high}
    return {name: None if value is None or not math.isfinite(value) else round(value, 5) for name, value in every.items()}


def _means(each: Sequence[Scores], derived: Callable[[Scores], Scores]) -> Scores:
    means = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    return means | derived(means)


def write(study: Study, name: str, rows: Sequence[Row], seeds: Sequence[int], more: Mapping[str, Any]) -> dict[str, Any]:
    """The result, which is also written. `more`: numbers of objects, and what a reader has to know."""
    result = {
        "study": name,
        "rows": list(rows),
        **more,
        "objects": len(study.objects.target),
        "seeds": list(seeds),
        "core_seconds": round(sum(study.seconds.values()), 1),
        "longest_fit_core_seconds": round(max(study.seconds.values(), default=0.0), 1),
        "command": study.command,
        "note": study.note,
        "commit": study.commit,
        "data_sha256": study.objects.sha256,
        "copies_sha256": study.copies.sha256 if study.copies else None,
    }
    study.directory.mkdir(parents=True, exist_ok=True)
    write_last(study.directory / f"study-{name}.json", json.dumps(result, indent=1) + "\n")
    return result


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result for a terminal."""
    told = [f"  study {result['study']}  {result['objects']:,} objects, seeds {', '.join(map(str, result['seeds']))}"]
    for row in result["rows"]:
        scores = {name: score for name, score in row.items() if isinstance(score, dict)}
        told.append(f"    {row['name']}: " + "  ".join(f"{name} {_told(score)}" for name, score in scores.items()))
    return told


def _told(score: Mapping[str, float | None]) -> str:
    return " ".join("-" if score[name] is None else f"{score[name]:.4f}" for name in ("mean", "low", "high"))
