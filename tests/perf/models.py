"""The network and the isolation forest, beside the same network as torch usually writes it and scikit-learn's forest."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor, nn

from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.isolation_forest import score_samples
from deeprubin_spark.models import published
from deeprubin_spark.models.baseline import fitted_trees
from deeprubin_spark.models.calibrated import Calibration
from deeprubin_spark.models.forest import N_TREES, AnomalyForest
from deeprubin_spark.models.inputs import FeatureRows, FeatureScaler, channels, model_features, noise_patterns
from deeprubin_spark.models.published import Parts, PublishedModel
from deeprubin_spark.models.tcn import STRIDE, LightCurveTcn, TcnShape
from deeprubin_spark.models.trees import ClassTrees
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from tests.perf.clock import cheapest
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

MODEL_FEATURES = model_features(ZTF_GR)

N_OBJECTS = 4096
_N_STEPS, _SEED = 64, 1
_BATCH = 256


class Convolutions(nn.Module):
    """The logits of a `LightCurveTcn` by `Conv1d` over (B, channels, T), with its weights."""

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

    def forward(self, made: Tensor, features: Tensor) -> Tensor:
        network = self.network
        h = self.inlet(made)
        for block, convolution, mix in zip(network.blocks, self.convolutions, self.mixes, strict=True):
            normed = block.norm(h.transpose(1, 2)).transpose(1, 2)
            h = h + mix(nn.functional.relu(convolution(normed)))
        h = nn.functional.gelu(network.norm(h.transpose(1, 2)).transpose(1, 2))
        return network.classes(torch.cat([h.mean(dim=2), h.amax(dim=2), network.features(features)], dim=1))


def _convolution(linear: nn.Linear, size: int, *, taps_first: bool = False, **how: int) -> nn.Conv1d:
    """A product over (channel, tap), or (tap, channel), as a convolution of `size` taps."""
    n_in = linear.in_features // size
    made = nn.Conv1d(n_in, linear.out_features, size, **how)
    weight = linear.weight.reshape(-1, size, n_in).transpose(1, 2) if taps_first else linear.weight.reshape(-1, n_in, size)
    made.weight, made.bias = nn.Parameter(weight.contiguous()), linear.bias
    return made


def network(place: Workplace) -> Measured:
    """Scaling, channels and one pass of the network; the peer's passes are of 256 objects."""
    model, rows = _model(), _rows()
    ours = cheapest(lambda: model.logits(rows), N_OBJECTS, runs=5)
    twin = Convolutions(model.parts.network).eval()

    def theirs() -> Tensor:
        made, features = torch.from_numpy(channels(rows)), torch.from_numpy(model.parts.scaler.scaled(rows.values))
        with torch.inference_mode():
            return torch.cat([twin(a, b) for a, b in zip(made.split(_BATCH), features.split(_BATCH), strict=True)])

    peer = cheapest(theirs, N_OBJECTS, runs=5)
    return Measured(ours, N_OBJECTS, peer, {"logits off by": float(np.abs(model.logits(rows) - theirs().double().numpy()).max())})


def probabilities(place: Workplace) -> Measured:
    """Calibrated probabilities and both uncertainties, from redrawn light curves."""
    model, rows = _model(), _rows()
    return Measured(cheapest(lambda: model.predict(rows), N_OBJECTS, runs=5), N_OBJECTS)


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
    """Scores of rows with missing values, and the share of each feature in them."""
    model, rows = _model(), _rows()
    return Measured(cheapest(lambda: model.anomaly(rows.values), N_OBJECTS), N_OBJECTS)


def _values(rng: np.random.Generator, missing: float) -> np.ndarray:
    values = rng.standard_normal((N_OBJECTS, len(MODEL_FEATURES)))
    values[rng.random(values.shape) < missing] = np.nan
    return values


def _rows() -> FeatureRows:
    rng = np.random.default_rng(_SEED)
    time = np.tile(np.linspace(-50.0, 100.0, _N_STEPS), (N_OBJECTS, 1))
    mean = 1e4 * rng.standard_normal((N_OBJECTS, 2, _N_STEPS))
    return FeatureRows(_values(rng, missing=0.3), time, mean, np.full_like(mean, 2e3))


def _model() -> PublishedModel:
    """A model of the shipped one's size; what its weights are costs nothing."""
    torch.manual_seed(_SEED)
    values = _values(np.random.default_rng(_SEED), missing=0.3)[:1000]
    untrained = LightCurveTcn(TcnShape(len(MODEL_FEATURES), len(CLASS_NAMES))).eval()
    last = untrained.classes[-1]
    own = np.column_stack([last.weight.detach().numpy(), last.bias.detach().numpy()])
    drawn = np.repeat(own[None], published.N_DRAWS, axis=0).astype(np.float32)
    scaler, forest = FeatureScaler.fit(values, MODEL_FEATURES), AnomalyForest.fit(values, _SEED)
    calibration = Calibration(1.0, 0.9, np.linspace(0.1, 0.9, 14), np.linspace(0.1, 1.0, 15), np.full(14, 1.0 / 14))
    target = np.random.default_rng(_SEED).integers(0, len(CLASS_NAMES), len(values))
    trees = ClassTrees.of_fitted(fitted_trees(values, target, np.ones(len(values)), _SEED), len(CLASS_NAMES))
    parts = Parts(ZTF_GR, untrained, trees, scaler, forest, noise_patterns(_N_STEPS, _SEED)[:1], drawn, calibration)
    return published.assemble({}, parts)


ROWS = (
    Row("network", "network, one pass", "object", network, "torch eager, Conv1d", most={"logits off by": 1e-3}),
    Row("probabilities", "probabilities and uncertainties", "object", probabilities),
    Row("isolation_forest", "isolation forest, score", "object", forest, "scikit-learn", most={"score off by": 1e-5}),
    Row("anomaly", "isolation forest, score and contributions", "object", anomaly),
)
