"""The networks there are, by the name that a setting and a manifest give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from safetensors.torch import load as load_tensors
from torch import Tensor

from deeprubin_spark.models.curves import Curves, GridCurves, PointCurves
from deeprubin_spark.models.gru import GruShape, LightCurveGru
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import Float32Array
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.tcn_summary import TcnSummary
from deeprubin_spark.models.transformer import LightCurveTransformer, TransformerShape

Shape = TcnShape | TransformerShape | GruShape
SHAPES: Mapping[str, type[Shape]] = {"tcn": TcnShape, "transformer": TransformerShape, "gru": GruShape}


def kind_of(shape: Shape) -> str:
    """The name of the network that has this shape."""
    return next(name for name, of in SHAPES.items() if isinstance(shape, of))


def shape_of(kind: str, n_features: int, n_classes: int, n_bands: int) -> Shape:
    """The usual sizes of a network for so many features, classes and bands."""
    if kind == "tcn":
        return TcnShape(n_features, n_classes, n_bands=n_bands)
    return {"transformer": TransformerShape, "gru": GruShape}[kind](n_features, n_classes)


def network_of(shape: Shape) -> HybridNetwork[Any]:
    """The network, untrained."""
    if isinstance(shape, TcnShape):
        return LightCurveTcn(shape)
    if isinstance(shape, TransformerShape):
        return LightCurveTransformer(shape)
    return LightCurveGru(shape)


def restored(shape: Shape, weights: bytes) -> HybridNetwork[Any]:
    """The network with trained weights, safetensors bytes, ready for use."""
    network = network_of(shape)
    network.load_state_dict(load_tensors(weights))
    return network.eval()


def curves_for(shape: Shape, n_steps: int, seed: int) -> Curves[Any]:
    """What the network reads, with the noise patterns of a seed; n_steps of the grid."""
    return GridCurves.of(shape.n_bands, n_steps, seed) if isinstance(shape, TcnShape) else PointCurves.of(seed)


def curves_with(shape: Shape, pattern: Float32Array) -> Curves[Any]:
    """The same, with the pattern that a published model holds."""
    return GridCurves(pattern) if isinstance(shape, TcnShape) else PointCurves(pattern)


def summary_of(network: HybridNetwork[Any]) -> Callable[[Any], Tensor]:
    """A curve to the summary of it (B, S) that the network, as it is now, gives in `encoded`; the curve is not rebuilt where that costs."""
    return TcnSummary(network) if isinstance(network, LightCurveTcn) else lambda curve: network.encoded(curve)[0]


def reads_points(kind: str) -> bool:
    """Whether the network reads the points, not the grid."""
    return kind != "tcn"
