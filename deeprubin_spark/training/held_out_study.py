"""A class that no part of the model has ever seen: how far up the anomaly score ranks its objects.

Of each held-out kind and seed: a fifth of the other objects is set aside, the rest trains a model exactly as one is published (`publish.finished`), its
network, trees, calibration, latents and forests; judged are the objects set aside and all of the held-out kind. The isolation forest of all features and
the entropy of the class probabilities stand beside the score, on the same objects. AUROC and average precision are of all judged objects; recall is that
within the first 1 % and 5 % of a night on which one object in a hundred is of the kind, the mean of 20 random nights.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from deeprubin_spark.models import published
from deeprubin_spark.models.forest import AnomalyForest
from deeprubin_spark.models.novelty import COMPONENTS, Novelty
from deeprubin_spark.models.uncertainty import entropy
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.settings import TrainingSettings
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.export import Fold
from deeprubin_spark.training.fits import in_memory
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.loop import Alone, train
from deeprubin_spark.training.publish import finished, fitted_novelty, plan_of
from deeprubin_spark.training.studies import Study, kept_arrays, summarised, write

VERSION = 2  # of what a fit does
HELD_CLASSES = ("Kilonova", "SLSN-I", "TDE", "Mira", "Microlensing")
SURVEY = "plasticc"  # whose feature set, that of all six-band surveys, and settings are the published model's
EPOCHS = 30
MOST_TRAIN = 6000
TEST_SHARE, USUAL_SHARE = 0.2, 0.15
N_NIGHTS, BASE_RATE = 20, 0.01
BUDGETS = {"recall_1": 0.01, "recall_5": 0.05}
SCORE, ISOLATION, ENTROPY = "score", "feature_isolation", "entropy"
METHODS = (SCORE, ISOLATION, ENTROPY, *(name for name in COMPONENTS if name != ISOLATION))

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Judged = Mapping[str, NDArray[Any]]  # is_held (M,), and each of METHODS (M,)


def run(study: Study, seeds: Sequence[int], held: Mapping[str, NDArray[np.bool_]] | None = None, name: str = "held-out") -> dict[str, Any]:
    """All fits, then the result, which is also written.   held : kind -> (N,) whether an object is of it; by default the classes HELD_CLASSES."""
    kinds = held or {kind: study.objects.target == CLASS_NAMES.index(kind) for kind in HELD_CLASSES}
    judged = {kind: [_kept(study, kind, is_held, seed) for seed in seeds] for kind, is_held in kinds.items()}
    rows = []
    for method in METHODS:
        of_seeds = [partial(_scores, {kind: of[i] for kind, of in judged.items()}, method) for i in range(len(seeds))]
        rows.append({"name": method, **summarised(of_seeds, len(study.objects.target))})
    beaten = {method: _margins(judged, method, len(seeds), len(study.objects.target)) for method in (ISOLATION, ENTROPY)}
    rows += [{"name": f"score less {method}", **numbers} for method, numbers in beaten.items()]
    counts = {kind: int(is_held.sum()) for kind, is_held in kinds.items()}
    return write(study, name, rows, seeds, {"held": counts, "epochs": EPOCHS, "train": _n_train(len(study.objects.target), counts)})


def run_on_supernovae(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    """The same of types Ibc and IIn among the supernovae of SPCC, each unknown where all others are known: what is unlike them is much like them."""
    kinds = {"SNIbc": study.objects.target == CLASS_NAMES.index("SNIbc"), "SNIIn": study.objects.label == "IIn"}
    return run(study, seeds, kinds, "held-out-spcc")


def _n_train(n_objects: int, counts: Mapping[str, int]) -> int:
    """Objects that train or set the chances, when the commonest kind is held out."""
    return min(int((1.0 - TEST_SHARE) * (n_objects - max(counts.values()))), MOST_TRAIN)


def _margins(judged: Mapping[str, list[Judged]], method: str, n_seeds: int, n_objects: int) -> dict[str, Any]:
    def difference(i: int, rows: IntArray) -> dict[str, float]:
        of_seed = {kind: of[i] for kind, of in judged.items()}
        ours, theirs = (_scores(of_seed, one, rows) for one in (SCORE, method))
        return {name: ours[name] - theirs[name] for name in ours}

    found: dict[str, Any] = summarised([partial(difference, i) for i in range(n_seeds)], n_objects)
    return found


def _scores(judged: Mapping[str, Judged], method: str, rows: IntArray) -> dict[str, float]:
    """AUROC of each kind, and of all kinds the mean AUROC, average precision and recalls; an object counts as often as `rows` name it."""
    of_kinds = {kind: _of_kind(one, method, rows) for kind, one in judged.items()}
    made = {kind: numbers["auroc"] for kind, numbers in of_kinds.items()}
    every = next(iter(of_kinds.values()))
    return made | {f"mean_{name}": float(np.mean([numbers[name] for numbers in of_kinds.values()])) for name in every}


def _of_kind(judged: Judged, method: str, rows: IntArray) -> dict[str, float]:
    times = np.bincount(rows, minlength=int(judged["row"].max()) + 1)[judged["row"]]
    chosen = np.repeat(np.arange(len(times)), times)
    value, is_held = judged[method][chosen], judged["is_held"][chosen]
    if not 0 < is_held.sum() < len(is_held):
        return dict.fromkeys(("auroc", "average_precision", *BUDGETS), float("nan"))
    ranks, n = rankdata(value), int(is_held.sum())
    auroc = (ranks[is_held].sum() - n * (n + 1) / 2) / (n * (len(value) - n))
    return {"auroc": float(auroc), "average_precision": float(average_precision_score(is_held, value)), **_recalls(value, is_held)}


def _recalls(value: FloatArray, is_held: NDArray[np.bool_]) -> dict[str, float]:
    """Share of the kind's objects found within each budget, the mean of nights with one in a hundred of the kind."""
    usual, kind = value[~is_held], value[is_held]
    n_kind = max(1, round(BASE_RATE / (1.0 - BASE_RATE) * len(usual)))
    rng, found = np.random.default_rng(0), []
    for _ in range(N_NIGHTS):
        night = rng.choice(kind, n_kind, replace=n_kind > len(kind))
        order = np.sort(np.concatenate([usual, night]))[::-1]
        found.append([(night >= order[max(1, round(budget * len(order))) - 1]).mean() for budget in BUDGETS.values()])
    return dict(zip(BUDGETS, np.mean(found, axis=0).tolist(), strict=True))


def place_of(study: Study, kind: str, is_held: NDArray[np.bool_], seed: int) -> Path:
    """Where the study keeps what the model of a kind and seed makes of the objects it is judged by: row, is_held and METHODS, (M,) each."""
    told = [VERSION, study.objects.sha256, hashlib.sha256(is_held.tobytes()).hexdigest(), seed, EPOCHS]
    return study.directory / "held-out" / f"{kind}-{seed}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}.npz"


def _kept(study: Study, kind: str, is_held: NDArray[np.bool_], seed: int) -> Judged:
    """What stands in `place_of`, made first where it does not."""
    place = place_of(study, kind, is_held, seed)
    found = kept_arrays(place, lambda: _fitted(study.objects, is_held, seed, place.with_suffix("")))
    study.seconds[kind, seed] = float(found.pop("seconds"))
    return found


def _fitted(objects: Labelled, is_held: NDArray[np.bool_], seed: int, place: Path) -> dict[str, Any]:
    begin = time.process_time()
    known = np.flatnonzero(~is_held)
    rest, aside = train_test_split(known, test_size=TEST_SHARE, random_state=seed, stratify=objects.target[known])
    rest = rest[:MOST_TRAIN]  # in random order
    fit, usual = train_test_split(rest, test_size=USUAL_SHARE, random_state=seed)
    test = np.concatenate([aside, np.flatnonzero(is_held)])
    every = objects.model_rows()
    never = np.isnan(every.values[fit]).all(axis=0)  # of a band that was not used: scikit-learn's trees refuse it
    every = replace(every, values=np.where(never, 0.0, every.values))

    def fold(rows: IntArray) -> Fold:
        return Fold(every.take(rows), objects.target[rows], objects.object_id[rows])

    model, novelty = _model(fold(fit), fold(usual), seed, place)
    rows = every.take(test)
    judged = model.judge(rows)
    made = novelty.anomaly(model.seen(judged, rows.values, novelty.latents))
    components = {name: np.nan_to_num(of, nan=-np.inf) for name, of in made.seen.components.items()}
    print(f"  held out {place.name}: {time.process_time() - begin:.0f} core-s", file=sys.stderr)
    return {
        **{"row": test, "is_held": is_held[test], SCORE: made.score, ENTROPY: entropy(judged.prediction.probabilities), **components},
        "seconds": np.array(time.process_time() - begin),
    }


def _model(fit: Fold, usual: Fold, seed: int, place: Path) -> tuple[published.PublishedModel, Novelty]:
    """Trained and finished as a published one."""
    settings = TrainingSettings(survey=SURVEY, epochs=EPOCHS, processes=1, seed=seed)
    plan = plan_of(fit, len(fit.target), settings)
    trained = train(plan, Alone(), in_memory(fit.rows, fit.target, plan), Checkpoints(place))
    forest = AnomalyForest.fit(fit.rows.values, seed)
    model = published.assemble({}, finished(plan, trained, forest, fit, usual, rule_of(SURVEY).feature_set))
    return model, fitted_novelty(model, fit, usual.rows, seed)
