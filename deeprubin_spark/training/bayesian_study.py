"""Which way of not knowing is worth its cost: one network, and four that draw networks from what the training objects leave open.

All are the network that the benchmark trains, on light curve and features, without temperature; in use curves are as measured, not redrawn, so that a draw is
a draw of the network alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from deeprubin_spark.kernels.calibration import reliability
from deeprubin_spark.models.bayesian import dropout_draws, ensemble_draws, head_draws, make_head_bayesian
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.laplace import LastLayerLaplace
from deeprubin_spark.models.networks import network_of
from deeprubin_spark.models.uncertainty import Prediction, entropy, of_draws
from deeprubin_spark.training.adaptation import with_bayesian_head
from deeprubin_spark.training.loop import Plan
from deeprubin_spark.training.metrics import accuracy, log_losses
from deeprubin_spark.training.sigma_study import Variant, split, trained
from deeprubin_spark.training.studies import Study, body, summarised, write

MEMBERS = 5
NEXT_MEMBER = 100  # seeds of an ensemble's members are s, s + 100, ...
N_DRAWS = 30
READS = Variant("both", "measured")

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Draws = Callable[[Study, IntArray, IntArray, int], FloatArray]


class AfterBody(HybridNetwork[Tensor]):
    """The class head of a network, called with what its body made, so that the light curve is read once for all draws."""

    def __init__(self, network: HybridNetwork[Any]) -> None:
        super().__init__()
        self.features, self.classes, self.thinning = nn.Sequential(), network.classes, network.thinning

    def encoded(self, curve: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The body's output (B, S + H) as it is; no reconstruction."""
        return curve, curve[:, :0], curve[:, :0]


def run(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    """All fits, then the result, which is also written."""
    train_rows, judged = split(study)
    target = study.target()[judged]
    rows = []
    for name, draws in WAYS.items():
        found = [of_draws(draws(study, train_rows, judged, seed)) for seed in seeds]
        scores = summarised([partial(scores_of, each, target) for each in found], len(target))
        rows.append(
            {"name": name, **{of: score for of, score in scores.items() if not (name == "one network" and of == "auroc_epistemic")}}
        )
    more = {"train": len(train_rows), "judged": len(judged), "members": MEMBERS, "draws": N_DRAWS}
    return write(study, "bayesian", rows, seeds, more)


def scores_of(found: Prediction, target: IntArray, rows: IntArray) -> dict[str, float]:
    """log_loss; brier; accuracy; ece; auroc_epistemic and auroc_total, of misclassified objects against the others by epistemic and by total entropy;
    accuracy_certain_half, without the half of highest total entropy.
    """
    p, of_class = found.probabilities[rows], target[rows]
    total, wrong = entropy(p), p.argmax(axis=1) != of_class
    certain = np.argsort(total, kind="stable")[: max(1, len(rows) // 2)]
    return {
        "log_loss": float(log_losses(p, of_class).mean()),
        "brier": float(((p - np.eye(p.shape[1])[of_class]) ** 2).sum(axis=1).mean()),
        "accuracy": accuracy(p, of_class),
        "ece": reliability(p, of_class).error,
        "auroc_epistemic": _auroc(wrong, found.epistemic[rows]),
        "auroc_total": _auroc(wrong, total),
        "accuracy_certain_half": accuracy(p[certain], of_class[certain]),
    }


def _auroc(wrong: NDArray[np.bool_], doubt: FloatArray) -> float:
    """NaN where all objects are classified rightly, or none."""
    return float(roc_auc_score(wrong, doubt)) if 0 < wrong.sum() < len(wrong) else float("nan")


def _of_member(study: Study, train_rows: IntArray, judged: IntArray, seed: int) -> FloatArray:
    """One network's only draw (1, M, C)."""
    network, plan, _ = trained(study, READS, train_rows, seed)
    return ensemble_draws([AfterBody(network)], *_given(study, network, plan, judged))


def _of_ensemble(study: Study, train_rows: IntArray, judged: IntArray, seed: int) -> FloatArray:
    return np.concatenate([_of_member(study, train_rows, judged, seed + NEXT_MEMBER * k) for k in range(MEMBERS)])


def _of_dropout(study: Study, train_rows: IntArray, judged: IntArray, seed: int) -> FloatArray:
    network, plan, _ = trained(study, READS, train_rows, seed)
    return dropout_draws(AfterBody(network), *_given(study, network, plan, judged), n_draws=N_DRAWS, seed=seed)


def _of_head(study: Study, train_rows: IntArray, judged: IntArray, seed: int) -> FloatArray:
    network, plan, held = trained(study, READS, train_rows, seed)
    chosen = np.setdiff1d(train_rows, held)

    def fit(place: Path) -> HybridNetwork[Any]:
        return with_bayesian_head(plan, network, READS.rows(study)[0].take(chosen), study.target()[chosen])

    def empty() -> HybridNetwork[Any]:
        made = network_of(plan.shape)
        make_head_bayesian(made)
        return made

    of_head = study.network(f"Bayesian head of random share {READS}", seed, empty, fit)
    return head_draws(AfterBody(of_head), *_given(study, of_head, plan, judged), n_draws=N_DRAWS, seed=seed)


def _of_laplace(study: Study, train_rows: IntArray, judged: IntArray, seed: int) -> FloatArray:
    network, plan, held = trained(study, READS, train_rows, seed)
    chosen, last = np.setdiff1d(train_rows, held), network.classes[-1]
    assert isinstance(last, nn.Linear)
    hidden = [_hidden(study, network, plan, rows) for rows in (chosen, judged)]
    return LastLayerLaplace.fit(last, hidden[0], study.target()[chosen]).draws(hidden[1], n_draws=N_DRAWS, seed=seed)


def _hidden(study: Study, network: HybridNetwork[Any], plan: Plan, rows: IntArray) -> FloatArray:
    with torch.inference_mode():
        made: FloatArray = network.last_hidden(_given(study, network, plan, rows)[0]).double().numpy()
    return made


def _given(study: Study, network: HybridNetwork[Any], plan: Plan, rows: IntArray) -> tuple[Tensor, Tensor]:
    """What `AfterBody` is called with."""
    made = body(network, plan, READS.rows(study)[0].take(rows))
    return made, made[:, :0]


WAYS: Mapping[str, Draws] = {
    "one network": _of_member,
    "ensemble of 5": _of_ensemble,
    "Monte Carlo dropout": _of_dropout,
    "Bayes by backprop, class head": _of_head,
    "Laplace, last layer": _of_laplace,
}
