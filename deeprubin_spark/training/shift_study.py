"""From the supernovae bright enough for a spectrum to all others: how much of the loss is won back without a label of theirs.

Source: the objects with a spectrum and their classes. Target: all others, in two halves. The first adapts, without its labels, and trains the oracle,
with them; the second is judged, and no method has seen its curves. Weights of the penalties follow from the source's loss, and nothing is chosen by a
score, so no label of the target decides anything but the oracle and the scores. Augmentation: the source with copies of its objects, on nights of the
target. "AdaBN" (Li et al. 2016, arXiv:1603.04779) gives each domain its own
statistics in batch norm; these networks have layer norm, which has none, so here it is the feature scaler that is fitted on each domain apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deeprubin_spark.kernels.calibration import label_shift
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows, FeatureScaler
from deeprubin_spark.models.networks import network_of
from deeprubin_spark.models.uncertainty import softmax
from deeprubin_spark.training.adaptation import PRE_TRAINED, adapted
from deeprubin_spark.training.fits import drawn_logits
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.loop import Plan
from deeprubin_spark.training.protocols import type_ia
from deeprubin_spark.training.studies import SPLIT_SEED, Row, Study, body, number, summarised, write

ORACLE_STEPS = 3.0  # times the steps of the others: it has ten times the objects
MOST_STEPS = 1500  # of a fit with copies
OF_SOURCE = ("source", "label shift", "adabn", "coral", "mmd", "dann", PRE_TRAINED)
ORACLE = "oracle"
MOST_IN_DISTANCE = 2000

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Domains:
    """Rows of the source with their classes, of the target's first half, and of the second, which is judged; names of the features; what they are."""

    source: FeatureRows
    label: IntArray
    target: FeatureRows
    judged: FeatureRows
    names: tuple[str, ...]
    told: str


@dataclass(frozen=True)
class Outcome:
    """Probabilities (M, C) of the judged, and hidden values of source and judged rows."""

    probabilities: FloatArray
    hidden: tuple[FloatArray, FloatArray]


def run(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    """All fits, then the result, which is also written."""
    adapting, judged = halves(study)
    outcomes: dict[str, list[Outcome]] = {}
    for copies in (None, study.copies) if study.copies is not None else (None,):
        domains = domains_of(study, adapting, judged, copies)
        for method in OF_SOURCE:
            outcomes[_told(method, copies)] = [outcome(study, domains, method, seed) for seed in seeds]
    plain = domains_of(study, adapting, judged, None)
    outcomes[ORACLE] = [oracle(study, plain, adapting, seed) for seed in seeds]
    rows = _rows(study, outcomes, study.objects.target[judged])
    more = {"source": int(study.spectroscopic.sum()), "target": len(adapting), "judged": len(judged)}
    return write(study, "shift", rows, seeds, more | {"copies": len(study.copies.target) if study.copies is not None else 0})


def halves(study: Study) -> tuple[IntArray, IntArray]:
    """Rows of the target that adapt, and rows that are judged: the same for all seeds, chosen without labels."""
    adapting, judged = train_test_split(np.flatnonzero(~study.spectroscopic), test_size=0.5, random_state=SPLIT_SEED)
    return np.sort(adapting), np.sort(judged)


def domains_of(study: Study, adapting: IntArray, judged: IntArray, copies: Labelled | None) -> Domains:
    """The domains, the source with or without copies of its objects."""
    rows, source = study.rows(), study.objects.take(np.flatnonzero(study.spectroscopic))
    if copies is not None:
        source = source.joined(copies)
    told = "spectroscopic" if copies is None else f"spectroscopic and copies {copies.sha256}, at most {MOST_STEPS} steps"
    return Domains(study.rows(source), study.target(source), rows.take(adapting), rows.take(judged), study.objects.model_names(), told)


def outcome(study: Study, domains: Domains, method: str, seed: int) -> Outcome:
    """What a method makes of the judged rows. 'label shift' and 'adabn' use the network that the source alone has trained."""
    plan = study.plan(domains.source, domains.names, seed)
    plan = replace(plan, epochs=min(plan.epochs, max(1, MOST_STEPS // plan.steps_per_epoch)))
    trained_by = "source" if method in ("label shift", "adabn") else method

    def fit(place: Path) -> HybridNetwork[Any]:
        return adapted(plan, domains.source, domains.label, domains.target, trained_by)

    network = study.network(f"{domains.told} {trained_by}", seed, partial(network_of, plan.shape), fit)
    of_target = plan
    if method == "adabn":
        of_target = replace(plan, scaler=FeatureScaler.fit(domains.target.values, domains.names))
    found = softmax(drawn_logits(network, of_target, domains.judged)).mean(axis=0)
    if method == "label shift":
        prior = np.bincount(domains.label, minlength=len(study.classes)) / len(domains.label)
        others = softmax(drawn_logits(network, plan, domains.target)).mean(axis=0)
        shares, _ = label_shift(others, prior)
        raised = found * np.divide(shares, prior, out=np.zeros_like(prior), where=prior > 0.0)
        found = raised / raised.sum(axis=1, keepdims=True)
    return Outcome(found, (_hidden(network, plan, domains.source), _hidden(network, of_target, domains.judged)))


def oracle(study: Study, domains: Domains, adapting: IntArray, seed: int) -> Outcome:
    """A network that the first half of the target has trained with its labels."""
    target = study.target()[adapting]
    plan = study.plan(domains.target, domains.names, seed)
    of_source = study.plan(domains.source, domains.names, seed)
    epochs = max(1, round(ORACLE_STEPS * of_source.epochs * of_source.steps_per_epoch / plan.steps_per_epoch))
    plan = replace(plan, epochs=epochs)

    def fit(place: Path) -> HybridNetwork[Any]:
        return adapted(plan, domains.target, target, domains.target, "source")

    network = study.network(f"target's first half, {epochs} epochs", seed, partial(network_of, plan.shape), fit)
    found = softmax(drawn_logits(network, plan, domains.judged)).mean(axis=0)
    return Outcome(found, (_hidden(network, plan, domains.source), _hidden(network, plan, domains.judged)))


def a_distance(source: FloatArray, target: FloatArray, seed: int = 0) -> float:
    """Proxy A-distance 2 (1 - 2 eps), eps the error of a classifier that tells the domains apart (Ben-David et al. 2007; Ganin et al. 2016): 0 to 2.

    source (N, D), target (M, D) hidden values; as many of either, at most MOST_IN_DISTANCE; logistic regression on standardised values, five folds.
    """
    rng = np.random.default_rng(seed)
    n = min(len(source), len(target), MOST_IN_DISTANCE)
    x = np.concatenate([each[rng.permutation(len(each))[:n]] for each in (source, target)])
    is_source = np.repeat([1, 0], n)
    judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    error = float((cross_val_predict(judge, x, is_source, cv=5) != is_source).mean())
    return 2.0 * (1.0 - 2.0 * min(error, 0.5))


def gap_closed(score: float, source: float, oracle: float) -> float:
    """(m - m_source) / (m_oracle - m_source): 0 for what the source alone reaches, 1 for what the target's labels reach; NaN without a gap."""
    return (score - source) / (oracle - source) if oracle != source else float("nan")


def _rows(study: Study, outcomes: dict[str, list[Outcome]], target: IntArray) -> list[Row]:
    """Scores of all methods on the same samples of the judged objects."""
    n_seeds = len(outcomes[ORACLE])

    def of_seed(i: int, rows: IntArray) -> dict[str, float]:
        made: dict[str, float] = {}
        for name, found in outcomes.items():
            scores = type_ia(study.in_taxonomy(found[i].probabilities[rows]), target[rows])
            made |= {f"{name}.{score}": scores[score] for score in ("auc", "accuracy", "ece")}
        return made

    def gaps(means: dict[str, float]) -> dict[str, float]:
        return {
            f"{name}.gap_{score}": gap_closed(means[f"{name}.{score}"], means[f"source.{score}"], means[f"{ORACLE}.{score}"])
            for name in outcomes
            if name not in ("source", ORACLE)
            for score in ("auc", "accuracy")
        }

    scores = summarised([partial(of_seed, i) for i in range(n_seeds)], len(target), gaps)
    rows = []
    for name, found in outcomes.items():
        own = {of.removeprefix(f"{name}."): score for of, score in scores.items() if of.startswith(f"{name}.")}
        distances = [a_distance(*each.hidden) for each in found]
        spread = float(np.std(distances, ddof=1)) if n_seeds > 1 else None
        rows.append({"name": name, **own, "a_distance": number(float(np.mean(distances)), spread, None, None)})
    return rows


def _told(method: str, copies: Labelled | None) -> str:
    return method if copies is None else f"{method}, with copies"


def _hidden(network: HybridNetwork[Any], plan: Plan, rows: FeatureRows) -> FloatArray:
    with torch.inference_mode():
        made: FloatArray = network.last_hidden(body(network, plan, rows)).double().numpy()
    return made
