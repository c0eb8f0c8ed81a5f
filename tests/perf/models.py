"""The night's classifier with the shipped models, beside its own network as training runs it and as torch usually writes it; and isolation forests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor, nn

from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.isolation_forest import score_samples
from deeprubin_spark.kernels.light_curve_features import Extracted
from deeprubin_spark.models import published
from deeprubin_spark.models.forest import N_TREES, AnomalyForest
from deeprubin_spark.models.inputs import FeatureRows, channels, model_features, redrawn
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.models.tcn import STRIDE, LightCurveTcn
from deeprubin_spark.models.tcn_summary import TcnSummary
from deeprubin_spark.models.uncertainty import Prediction, of_draws
from deeprubin_spark.schemas.features import rule_of
from tests.carried_features import as_read, in_six_bands, in_two_bands
from tests.perf.clock import cheapest, in_turn
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_OBJECTS = 4096
_SEED = 1
_BATCH = 256
_RUNS = 5
_CARRIED: dict[str, Callable[[], tuple[np.ndarray, Extracted]]] = {"ztf": in_two_bands, "lsst": in_six_bands}


class Convolutions(nn.Module):
    """The summary that a `LightCurveTcn` makes of a curve, by `Conv1d` over (B, channels, T), with its weights."""

    def __init__(self, network: LightCurveTcn) -> None:
        super().__init__()
        width = network.shape.width
        self.network = network
        self.inlet = _convolution(network.inlet, STRIDE, stride=STRIDE)
        self.convolutions = nn.ModuleList(
            _convolution(b.convolution, 3, taps_first=True, dilation=b.dilation, padding=b.dilation) for b in network.blocks
        )
        self.mixes = nn.ModuleList(_convolution(b.mix, 1) for b in network.blocks)
        assert self.inlet.out_channels == width

    def forward(self, made: Tensor) -> Tensor:
        network = self.network
        h = self.inlet(made)
        for block, convolution, mix in zip(network.blocks, self.convolutions, self.mixes, strict=True):
            normed = block.norm(h.transpose(1, 2)).transpose(1, 2)
            h = h + mix(nn.functional.relu(convolution(normed)))
        h = nn.functional.gelu(network.norm(h.transpose(1, 2)).transpose(1, 2))
        return torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1)


def _convolution(linear: nn.Linear, size: int, *, taps_first: bool = False, **how: int) -> nn.Conv1d:
    """A product over (channel, tap), or (tap, channel), as a convolution of `size` taps."""
    n_in = linear.in_features // size
    made = nn.Conv1d(n_in, linear.out_features, size, **how)
    weight = linear.weight.reshape(-1, size, n_in).transpose(1, 2) if taps_first else linear.weight.reshape(-1, n_in, size)
    made.weight, made.bias = nn.Parameter(weight.contiguous()), linear.bias
    return made


def network(place: Workplace) -> Measured:
    """One pass of the network over light curves in two bands, to their summaries."""
    model, rows = _shipped("ztf")
    curves = torch.from_numpy(channels(rows)).split(_BATCH)
    ours_of, theirs_of = TcnSummary(model.parts.network), Convolutions(model.parts.network).eval()

    def read_by(reader: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.inference_mode():
            return torch.cat([reader(curve) for curve in curves])

    ours, peer = in_turn(lambda: read_by(ours_of), lambda: read_by(theirs_of), N_OBJECTS, _RUNS)
    return Measured(ours, N_OBJECTS, peer, {"summaries off by": float((read_by(ours_of) - read_by(theirs_of)).abs().max())})


def classifier(survey: str) -> Callable[[Workplace], Measured]:
    """All that a shipped model says of an object but its anomaly, from its row of features."""

    def measure(place: Workplace) -> Measured:
        model, rows = _shipped(survey)

        def ours() -> Prediction:
            model.outside_training_range(rows.values)
            made = model.predict(rows)
            model.parts.calibration.sets(made.probabilities)
            model.parts.calibration.bins(made.probabilities)
            return made

        core_us, peer = in_turn(ours, lambda: _eager(model, rows), N_OBJECTS, _RUNS)
        apart = np.abs(ours().probabilities - _eager(model, rows).probabilities).max()
        return Measured(core_us, N_OBJECTS, peer, {"probabilities off by": float(apart)})

    return measure


def _eager(model: PublishedModel, rows: FeatureRows) -> Prediction:
    """Its probabilities and uncertainties by the network as training runs it, batch by batch, and a layer a draw; the trees by the same kernel."""
    parts, made = model.parts, []
    for start in range(0, len(rows), _BATCH):
        batch = rows.take(slice(start, start + _BATCH))
        with torch.inference_mode():
            features = torch.from_numpy(parts.scaler.scaled(batch.values))
            trees = torch.from_numpy(parts.trees.log_probabilities(batch.values))
            of_curves = []
            for pattern in (parts.pattern[0], -parts.pattern[0]):
                curve = torch.from_numpy(redrawn(channels(batch), pattern, 1.0))
                hidden = parts.network.last_hidden(parts.network.joined(curve, features)[0])
                logits = [nn.functional.linear(hidden, last[:, :-1], last[:, -1]) for last in torch.from_numpy(parts.last_layers)]
                both = 0.5 * (torch.log_softmax(torch.stack(logits).double(), dim=-1) + trees)
                of_curves.append(torch.softmax(both / parts.calibration.temperature, dim=-1))
            made.append(torch.stack(of_curves).mean(dim=0))
    return of_draws(torch.cat(made, dim=1).numpy())


def forest(place: Workplace) -> Measured:
    """Anomaly scores of complete rows."""
    values = _values(np.random.default_rng(_SEED), missing=0.0)
    ours_forest = AnomalyForest.fit(values[:1000], _SEED).forest
    theirs_forest = IsolationForest(n_estimators=N_TREES, max_samples=256, random_state=_SEED, n_jobs=1).fit(values[:1000])
    ours = cheapest(lambda: score_samples(ours_forest, values), N_OBJECTS, runs=5)
    peer = cheapest(lambda: theirs_forest.score_samples(values), N_OBJECTS)
    difference = np.abs(score_samples(ours_forest, values) - theirs_forest.score_samples(values)).max()
    return Measured(ours, N_OBJECTS, peer, {"score off by": float(difference)})


def anomaly(place: Workplace) -> Measured:
    """Score, chances and contributions by the shipped two-band model, from what it has made of the objects for their classes."""
    model, rows = _shipped("ztf")
    judged = model.judge(rows)
    return Measured(cheapest(lambda: model.anomaly(judged, rows.values), N_OBJECTS), N_OBJECTS)


def _values(rng: np.random.Generator, missing: float) -> np.ndarray:
    values = rng.standard_normal((N_OBJECTS, len(model_features(ZTF_GR))))
    values[rng.random(values.shape) < missing] = np.nan
    return values


def _shipped(survey: str) -> tuple[PublishedModel, FeatureRows]:
    """The shipped model of a survey, and the carried objects' features again and again."""
    contract = rule_of(survey).contract
    model = published.load(published.find("", contract), contract)
    rows = as_read(_CARRIED[survey]()[1], model.feature_set)
    return model, rows.take(np.arange(N_OBJECTS) % len(rows))


ROWS = (
    Row("network", "network, one pass", "object", network, "torch eager, Conv1d", most={"summaries off by": 1e-5}),
    Row(
        "classifier_ztf",
        "the shipped two-band model: classes, their uncertainties and sets",
        "object",
        classifier("ztf"),
        "torch eager",
        most_core_us=100.0,
        most={"probabilities off by": 2e-6},
    ),
    Row(
        "classifier_lsst",
        "the shipped six-band model: the same",
        "object",
        classifier("lsst"),
        "torch eager",
        most_core_us=100.0,
        most={"probabilities off by": 2e-6},
    ),
    Row("isolation_forest", "isolation forest, score", "object", forest, "scikit-learn", most={"score off by": 1e-5}),
    Row("anomaly", "anomaly score: seven components, contributions", "object", anomaly),
)
