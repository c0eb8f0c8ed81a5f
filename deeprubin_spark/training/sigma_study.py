"""Does it help to know the errors of the measurement? Networks against twins that are blind to them, at the same budget.

A twin gets an sd of zero everywhere: no channel says how certain the curve is, a curve redrawn within its errors stays as it is, in training and in use, and
the reconstruction loss has only the model's own variance. Layers, epochs, seeds and objects are the same. The Gaussian process that made the curve knew the
errors, and the feature values carry them too: so the light curve alone is judged first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from deeprubin_spark.kernels import calibration
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows
from deeprubin_spark.models.networks import network_of, restored
from deeprubin_spark.models.uncertainty import softmax
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.fits import HELD_SHARE, drawn_logits, in_memory
from deeprubin_spark.training.loop import Alone, Plan, train
from deeprubin_spark.training.metrics import accuracy, log_losses
from deeprubin_spark.training.studies import (
    FAINT,
    MOST_JUDGED,
    SPLIT_SEED,
    TRAIN_SHARE,
    Number,
    Row,
    Study,
    signal_to_noise,
    summarised,
    write,
)

INFLATED = (1.0, 2.0, 4.0)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Variant:
    """reads: 'curve' or 'both', with the feature values      errors: 'measured' or 'none'      noise: of the reconstruction, in `losses.NOISE`."""

    reads: str
    errors: str
    noise: str = "gaussian"

    def rows(self, study: Study, inflated: float = 1.0) -> tuple[FeatureRows, tuple[str, ...]]:
        """All objects as this network reads them, their errors multiplied, and the names of the features."""
        rows, names = study.rows(), study.objects.model_names()
        if self.reads == "curve":
            rows, names = replace(rows, values=rows.values[:, :0]), ()
        strength = np.float32(0.0 if self.errors == "none" else inflated)
        return replace(rows, grid_sd=rows.grid_sd * strength), names

    def told(self) -> str:
        """Its name in the results."""
        how = "blind twin" if self.errors == "none" else f"errors known, {self.noise}"
        return f"{'light curve' if self.reads == 'curve' else 'light curve and features'}: {how}"


BLIND: Mapping[str, Variant] = {reads: Variant(reads, "none") for reads in ("curve", "both")}
VARIANTS = (
    *(Variant("curve", "measured", noise) for noise in ("gaussian", "beta", "student")),
    Variant("both", "measured"),
    *BLIND.values(),
)


def run(study: Study, seeds: Sequence[int]) -> dict[str, Any]:
    """All fits, then the result, which is also written."""
    train_rows, judged = split(study)
    faint = signal_to_noise(study.objects)[judged] < FAINT
    found = {variant: [probabilities(study, variant, train_rows, judged, seed) for seed in seeds] for variant in VARIANTS}
    target = study.target()[judged]
    rows = [_row(variant, found[variant], found[BLIND[variant.reads]], target, faint) for variant in VARIANTS]
    more = {"train": len(train_rows), "judged": len(judged), "judged_faint": int(faint.sum()), "faint": FAINT}
    return write(study, "sigma", rows, seeds, more)


def split(study: Study) -> tuple[IntArray, IntArray]:
    """Rows that train, a random share, and at most MOST_JUDGED others, which are judged: the same for all seeds."""
    target = study.target()
    train_rows, others = train_test_split(np.arange(len(target)), train_size=TRAIN_SHARE, random_state=SPLIT_SEED, stratify=target)
    judged = np.random.default_rng(SPLIT_SEED).permutation(others)[:MOST_JUDGED]
    return np.sort(train_rows), np.sort(judged)


def trained(study: Study, variant: Variant, train_rows: IntArray, seed: int) -> tuple[HybridNetwork[Any], Plan, IntArray]:
    """The network by the cluster's own loop, its plan, and the tenth of the training rows that was held out."""
    chosen, held = train_test_split(train_rows, test_size=HELD_SHARE, random_state=seed)
    rows, names = variant.rows(study)
    own = rows.take(chosen)
    plan = study.plan(own, names, seed, variant.noise)

    def fit(place: Path) -> HybridNetwork[Any]:
        done = train(plan, Alone(), in_memory(own, study.target()[chosen], plan), Checkpoints(None))
        return restored(plan.shape, done.network)

    return study.network(f"random share {variant}", seed, partial(network_of, plan.shape), fit), plan, held


def probabilities(study: Study, variant: Variant, train_rows: IntArray, judged: IntArray, seed: int) -> FloatArray:
    """Of the judged rows, with the errors as measured and inflated: (len(INFLATED), M, C); one temperature, from the rows held out."""
    network, plan, held = trained(study, variant, train_rows, seed)
    t = calibration.temperature(drawn_logits(network, plan, variant.rows(study)[0].take(held)), study.target()[held])
    read = INFLATED if variant.errors == "measured" else INFLATED[:1]  # to a blind twin inflated errors are the same zeros
    found = [softmax(drawn_logits(network, plan, variant.rows(study, times)[0].take(judged)) / t).mean(axis=0) for times in read]
    return np.stack(found * (len(INFLATED) // len(read)))


def _row(variant: Variant, own: Sequence[FloatArray], blind: Sequence[FloatArray], target: IntArray, faint: NDArray[np.bool_]) -> Row:
    """Scores of a variant; what it gains over its blind twin in log-loss, on the same objects; mean confidence as the errors are inflated."""
    losses = [log_losses(p[0], target) for p in own]
    blind_losses = [log_losses(p[0], target) for p in blind]

    def of_seed(i: int, rows: IntArray) -> dict[str, float]:
        of_faint = rows[faint[rows]]
        made = {
            "log_loss": losses[i][rows].mean(),
            "log_loss_faint": losses[i][of_faint].mean(),
            "blind": blind_losses[i][rows].mean(),
            "blind_faint": blind_losses[i][of_faint].mean(),
            "accuracy": accuracy(own[i][0][rows], target[rows]),
        }
        confidence = {f"confidence_x{times:g}": p[rows].max(axis=1).mean() for times, p in zip(INFLATED, own[i], strict=True)}
        return {name: float(value) for name, value in (made | confidence).items()}

    found: dict[str, Number] = summarised([partial(of_seed, i) for i in range(len(own))], len(target), _gains)
    kept = {name: score for name, score in found.items() if not name.startswith("blind")}
    if variant.errors == "none":
        kept = {name: score for name, score in kept.items() if not name.startswith("gain")}
    return {"name": variant.told(), **kept}


def _gains(means: dict[str, float]) -> dict[str, float]:
    """Log-loss of the blind twin less the variant's own, and as a share of the twin's."""
    gain, faint = means["blind"] - means["log_loss"], means["blind_faint"] - means["log_loss_faint"]
    return {"gain": gain, "gain_share": gain / means["blind"], "gain_faint": faint, "gain_share_faint": faint / means["blind_faint"]}
