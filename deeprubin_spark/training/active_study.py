"""What votes are worth: a simulated expert, whose interest is one class, votes on whatever comes first, and the order follows the votes or does not.

A night of one object in a hundred of the class, all others as they are. Static orders, which no vote changes: the isolation forest of all features, which
knows no label; the entropy of class probabilities by a classifier of the other classes, two folds of them; and, where the study `held_out` has left its fits
in the same directory, the score of `anomalies` by models that have not seen the class, on a night of the objects that these have not seen either. Each is
read from its top, and each starts loops of votes: `votes`, as `rerank_anomalies` does it, and coniferest's two methods as they come. Purity is the share of
the voted objects that are of the class.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from coniferest.aadforest import AADForest
from coniferest.label import Label
from coniferest.pineforest import PineForest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from deeprubin_spark.models.active_forest import ActiveForest, active_scores
from deeprubin_spark.models.baseline import random_forest
from deeprubin_spark.models.forest import AnomalyForest
from deeprubin_spark.models.inputs import FeatureScaler
from deeprubin_spark.models.uncertainty import entropy
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.held_out_study import HELD_CLASSES, place_of
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.studies import Number, Row, Study, number, write

VERSION = 1  # of what a loop does
KINDS = HELD_CLASSES
BASE_RATE = 0.01
N_VOTES = 100
FOREST, ENTROPY, SCORE = "isolation forest", "entropy", "score"
STATIC, VOTES, PINE, AAD = "static", "votes", "PineForest", "AAD"
LOOPS = {FOREST: (VOTES, PINE, AAD), ENTROPY: (VOTES,), SCORE: (VOTES,)}  # that each static order starts
N_SAMPLES = 1000

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Flags = NDArray[np.bool_]
Said = dict[str, list[bool]]  # by '<static order>, <loop>', vote by vote
Rank = Callable[[IntArray, Flags], FloatArray]  # rows voted on and whether of the class -> (N,) scores, higher first


def run(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    """All loops, each kept as soon as it is done, then the result, which is also written."""
    kinds = {kind: study.objects.target == CLASS_NAMES.index(kind) for kind in KINDS}
    found = {kind: [_loops_of(study, kind, is_kind, seed, seeds) for seed in seeds] for kind, is_kind in kinds.items() if is_kind.any()}
    rows: list[Row] = []
    for start, more in LOOPS.items():
        if any(f"{start}, {STATIC}" not in one for of_kind in found.values() for one in of_kind):
            continue
        static = _purities(found, f"{start}, {STATIC}")
        for loop in (STATIC, *more):
            of_loop = _purities(found, f"{start}, {loop}")
            numbers = {"purity": _mean(of_loop)} | ({} if loop == STATIC else {"times_static": _times(of_loop, static)})
            each = {
                kind: number(float(of.mean()), float(of.std(ddof=1)) if len(of) > 1 else None, None, None)
                for kind, of in zip(found, of_loop, strict=True)
            }
            rows.append({"name": f"{start}, {loop}", **numbers, **each})
    return write(study, "active", rows, seeds, {"votes": N_VOTES, "kinds": ", ".join(found), "base_rate": BASE_RATE})


def voted(truth: Flags, static: FloatArray, rank: Rank | None, n_votes: int) -> Flags:
    """What the expert says, vote by vote (n_votes,).

    truth : (N,) whether of the class      static : (N,) scores, higher first, which order the first vote and, without `rank`, all of them
    """
    is_open, rows = np.ones(len(truth), np.bool_), np.zeros(0, np.int64)
    while len(rows) < min(n_votes, len(truth)):
        score = static if rank is None or not len(rows) else rank(rows, truth[rows])
        rows = np.append(rows, np.argmax(np.where(is_open, score, -np.inf)))
        is_open[rows[-1]] = False
    return truth[rows]


def night(is_kind: Flags, seed: int) -> IntArray:
    """Rows (M,) of all other objects and of so many of the kind, drawn by the seed, that they are `BASE_RATE` of all, or all of it where it has fewer."""
    others, kind = np.flatnonzero(~is_kind), np.flatnonzero(is_kind)
    n_kind = min(len(kind), max(1, round(len(others) * BASE_RATE / (1.0 - BASE_RATE))))
    return np.sort(np.concatenate([others, np.random.default_rng(seed).choice(kind, n_kind, replace=False)]))


def rank_by_votes(values: FloatArray, names: Sequence[str], static: FloatArray, seed: int) -> Rank:
    """As `rerank_anomalies` ranks."""
    forest = ActiveForest(values, names, seed)
    scaled, shares = forest.scaled(values), share(static)
    return lambda rows, said: active_scores(forest, scaled, shares, scaled[rows], said)


def share(static: FloatArray) -> FloatArray:
    """Share of the objects that the scores (N,) put as far up as each, itself among them: (N,) in (0, 1]."""
    return np.asarray((np.argsort(np.argsort(-static, kind="stable"), kind="stable") + 1.0) / len(static))


def _loops_of(study: Study, kind: str, is_kind: Flags, seed: int, seeds: Sequence[int]) -> Said:
    """What the expert says in each loop of a kind and seed; from files where they are there. seeds : of the fits of the study `held_out`"""
    found = _kept(study, kind, seed, "", lambda: loops(study.objects, is_kind, seed))
    held_out = held_out_scores([place_of(study, kind, is_kind, one) for one in seeds], is_kind)
    if not len(held_out):
        return found
    fits = hashlib.sha256(held_out.tobytes()).hexdigest()
    return found | _kept(study, kind, seed, fits, lambda: score_loops(study.objects, is_kind, held_out, seed))


def _kept(study: Study, kind: str, seed: int, fits: str, make: Callable[[], Mapping[str, Flags]]) -> Said:
    """What `make` gives, from the file if it is there. fits : hash of what it depends on beside the objects, or ''."""
    told = [VERSION, study.objects.sha256, kind, seed, N_VOTES, BASE_RATE, *([fits] if fits else [])]
    place = study.directory / "active" / f"{kind}-{seed}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}.json"
    if not place.is_file():
        begin = time.process_time()
        made = {name: said.tolist() for name, said in make().items()}
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"votes": made, "seconds": time.process_time() - begin}))
        fresh.replace(place)
        print(f"  active {kind} seed {seed}: " + ", ".join(f"{name} {sum(said)}" for name, said in made.items()), file=sys.stderr)
    kept: dict[str, Any] = json.loads(place.read_text())
    study.seconds[f"{kind} {fits}", seed] = float(kept["seconds"])
    votes: Said = kept["votes"]
    return votes


def held_out_scores(fits: Sequence[Path], is_kind: Flags) -> FloatArray:
    """Anomaly scores (S, N) by those of the models that the study `held_out` has made without a kind, NaN of the objects that trained them.

    ValueError for fits on other objects than these.
    """
    places = [place for place in fits if place.is_file()]
    found = np.full((len(places), len(is_kind)), np.nan)
    for i, place in enumerate(places):
        with np.load(place, allow_pickle=False) as kept:
            row, is_held, score = kept["row"], kept["is_held"], kept["score"]
        if row.max() >= len(is_kind) or not np.array_equal(is_held, is_kind[row]):
            raise ValueError(f"{place}: fits on the {len(is_kind):,} objects of this study expected, found others; give another --out")
        found[i, row] = score
    return found


def score_loops(objects: Labelled, is_kind: Flags, held_out: FloatArray, seed: int) -> dict[str, Flags]:
    """As `loops`, of the objects that a model has not seen, each with the score (S, N) of one such model, drawn by the seed."""
    drawn = np.where(np.isnan(held_out), np.inf, np.random.default_rng(seed).uniform(size=held_out.shape)).argmin(axis=0)
    score = held_out[drawn, np.arange(held_out.shape[1])]
    unseen = np.flatnonzero(np.isfinite(score))
    rows = unseen[night(is_kind[unseen], seed)]
    values = objects.model_rows().values[rows].astype(np.float64)
    by_votes = rank_by_votes(values, objects.model_names(), score[rows], seed)
    return {f"{SCORE}, {loop}": voted(is_kind[rows], score[rows], rank, N_VOTES) for loop, rank in ((STATIC, None), (VOTES, by_votes))}


def loops(objects: Labelled, is_kind: Flags, seed: int) -> dict[str, Flags]:
    """What the expert of a kind says in each loop, by '<static order>, <loop>'."""
    rows, names = night(is_kind, seed), objects.model_names()
    values, truth = objects.model_rows().values[rows].astype(np.float64), is_kind[rows]
    statics = {
        FOREST: AnomalyForest.fit(values, seed).score(values)[0],
        ENTROPY: entropy(_unseen(values, np.where(truth, -1, objects.target[rows]), seed)),
    }
    scaled = FeatureScaler.fit(values, names).scaled(values).astype(np.float64)
    found: dict[str, Flags] = {}
    for start, static in statics.items():
        made: Mapping[str, Rank | None] = {
            STATIC: None,
            VOTES: rank_by_votes(values, names, static, seed),
            PINE: _pine_forest(scaled, seed),
            AAD: _aad(scaled, seed),
        }
        found |= {f"{start}, {loop}": voted(truth, static, made[loop], N_VOTES) for loop in (STATIC, *LOOPS[start])}
    return found


def _unseen(values: FloatArray, target: IntArray, seed: int) -> FloatArray:
    """Class probabilities (M, C) of each object by a forest that saw neither it nor any object of target -1; of these the first fold's."""
    known = np.flatnonzero(target >= 0)
    classes, place = np.unique(target[known], return_inverse=True)
    weight = (1.0 / np.bincount(place))[place]
    filled = np.nan_to_num(values, nan=-1e9, posinf=1e30, neginf=-1e30)  # to trees a value of its own
    made = np.zeros((len(values), len(classes)))
    for fold, (train, test) in enumerate(StratifiedKFold(2, shuffle=True, random_state=seed).split(known, place)):
        judged = known[test] if fold else np.concatenate([known[test], np.flatnonzero(target < 0)])
        made[judged] = random_forest(filled[known[train]], place[train], weight[train], filled[judged], len(classes), seed)
    return made


def _pine_forest(values: FloatArray, seed: int) -> Rank:
    def rank(rows: IntArray, said: Flags) -> FloatArray:
        forest = PineForest(n_trees=100, n_spare_trees=400, regenerate_trees=True, n_jobs=1, random_seed=seed)
        forest.fit_known(values, values[rows], np.where(said, Label.ANOMALY, Label.REGULAR))
        return -np.asarray(forest.score_samples(values))

    return rank


def _aad(values: FloatArray, seed: int) -> Rank:
    def rank(rows: IntArray, said: Flags) -> FloatArray:
        forest = AADForest(n_trees=100, prior_influence=1.0, n_jobs=1, random_seed=seed)
        forest.fit_known(values, values[rows], np.where(said, Label.ANOMALY, Label.REGULAR))
        return -np.asarray(forest.score_samples(values))

    return rank


def _purities(found: Mapping[str, Sequence[Mapping[str, Sequence[bool]]]], name: str) -> FloatArray:
    """(kinds, seeds)."""
    return np.array([[np.mean(one[name]) for one in of_kind] for of_kind in found.values()])


def _mean(purity: FloatArray) -> Number:
    samples = [purity[rows].mean() for rows in _samples(len(purity))]
    return _summary(float(purity.mean()), purity.mean(axis=0), samples)


def _times(purity: FloatArray, static: FloatArray) -> Number:
    """Ratio of the mean purities, NaN where the static order finds nothing at all."""

    def ratio(ours: FloatArray, theirs: FloatArray) -> float:
        return float(ours.mean() / theirs.mean()) if theirs.any() else float("nan")

    samples = [ratio(purity[rows], static[rows]) for rows in _samples(len(purity))]
    of_seeds = np.array([ratio(purity[:, i], static[:, i]) for i in range(purity.shape[1])])
    return _summary(ratio(purity, static), of_seeds, samples)


def _samples(n_kinds: int) -> list[IntArray]:
    """Of the kinds, with replacement."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, n_kinds, n_kinds) for _ in range(N_SAMPLES)]


def _summary(mean: float, of_seeds: FloatArray, samples: Sequence[float]) -> Number:
    known = [sample for sample in samples if np.isfinite(sample)]
    low, high = np.quantile(known, [0.025, 0.975]) if known else (float("nan"), float("nan"))
    return number(mean, float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else None, float(low), float(high))
