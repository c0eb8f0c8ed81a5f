"""A published model: a directory with a manifest and safetensors files, no pickle, and all that scoring asks of it.

manifest.json        what it is: version, contract, features, classes, training data, metrics, temperature, and the SHA-256 of every other file
network.safetensors  weights, draws of the last layer's    inputs.safetensors  scaling of features, noise pattern
trees.safetensors    boosted trees                         forest.safetensors  isolation forest of feature values
novelty.safetensors  what known objects look like to the network, and how unusual usual ones are

A `PublishedModel` holds the files' bytes, so it travels to Python workers whole, and a worker builds its network once, however many tasks it runs.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from scipy.special import logsumexp

from deeprubin_spark.errors import ModelError
from deeprubin_spark.kernels.feature_catalogue import FEATURE_SETS, FeatureSet
from deeprubin_spark.models.calibrated import Calibration
from deeprubin_spark.models.forest import AnomalyForest, Arrays
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import MAX_OUTSIDE_SHARE, FeatureRows, FeatureScaler, Float32Array, model_features
from deeprubin_spark.models.networks import SHAPES, curves_with, kind_of, network_of, summary_of
from deeprubin_spark.models.novelty import Anomaly, Latents, Novelty, Seen, seen
from deeprubin_spark.models.trees import ClassTrees
from deeprubin_spark.models.uncertainty import Prediction, of_draws, softmax
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # not there in Python 3.10

FORMAT = 5  # of the directory
MANIFEST = "manifest.json"
N_DRAWS = 8  # of the last layer's weights
_LAST = "last_layers"
_NOVELTY = "novelty.safetensors"
_BLOCK = 256  # rows computed together, always: sums in another order would give another last digit

FloatArray = NDArray[np.float64]
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Parts:
    """What training makes and a published directory holds.

    trees : of the same features      pattern : see `curves.Curves`      last_layers : (`N_DRAWS`, C, H + 1) float32, weights and bias
    of the network's last layer as its training objects leave them open, see `laplace.LastLayerLaplace.drawn`
    novelty : None as long as it is not fitted, from what the other parts make of objects; a directory always holds it
    """

    feature_set: FeatureSet
    network: HybridNetwork[Any]
    trees: ClassTrees
    scaler: FeatureScaler
    forest: AnomalyForest
    pattern: Float32Array
    last_layers: Float32Array
    calibration: Calibration
    novelty: Novelty | None = None


@dataclass(frozen=True)
class Judged:
    """What a model makes of B objects.

    disagreement, divergence : (B,) [nat] whose sum is the prediction's epistemic part      hidden : (B, H) what the network's last layer reads, the mean
    of the light curve moved within its errors to both sides
    """

    prediction: Prediction
    disagreement: FloatArray
    divergence: FloatArray
    hidden: FloatArray

    def take(self, chosen: NDArray[np.bool_]) -> Judged:
        """The chosen (B,) objects."""
        prediction = Prediction(*(getattr(self.prediction, one.name)[chosen] for one in fields(Prediction)))
        return Judged(prediction, self.disagreement[chosen], self.divergence[chosen], self.hidden[chosen])


class PublishedModel:
    """A model read from its files. Everything it computes depends on a row alone, not on the rows beside it."""

    def __init__(self, files: Files) -> None:
        """ModelError where the files are not what the manifest says."""
        self.files = dict(files)
        self.manifest = _manifest(files)
        self.parts = _parts(files, self.manifest)
        self._curves = curves_with(self.parts.network.shape, self.parts.pattern)
        self._summary = summary_of(self.parts.network)
        self.version: str = self.manifest["version"]
        self.feature_set: FeatureSet = self.parts.feature_set
        self.features: tuple[str, ...] = tuple(self.manifest["features"])
        self.classes: tuple[str, ...] = tuple(self.manifest["classes"])
        torch.set_num_threads(1)  # kernels are single-threaded: the cores belong to Spark's tasks

    def __reduce__(self) -> tuple[Any, ...]:
        return _in_this_process, (tuple(sorted(self.files.items())),)

    @property
    def kind(self) -> str:
        """Of the network: see `networks.SHAPES`."""
        return str(self.manifest["network"]["kind"])

    @property
    def class_shares(self) -> dict[str, float]:
        """Shares of the classes for which its probabilities hold."""
        return dict(zip(self.classes, self.parts.calibration.class_shares.tolist(), strict=True))

    def predict(self, rows: FeatureRows) -> Prediction:
        """The classes' side of `judge`."""
        return self.judge(rows).prediction

    def judge(self, rows: FeatureRows) -> Judged:
        """Class probabilities, the mean over redrawings of the light curve within its errors and over draws of the last layer's weights.

        Of each, p, the geometric mean of what network and trees say, p_1 and p_2. Epistemic is what the draws disagree about (`of_draws`), and how far
        network and trees are apart, 1/2 sum_i KL(p || p_i) = -ln sum_c (p_1c p_2c)^(1/2)  (Heskes 1998, NIPS 10, 266), before the temperature.
        The rest, errors of measurement included, is aleatoric. rows: status ok.
        """
        n_classes, width = len(self.classes), self.parts.last_layers.shape[2] - 1
        draws, apart, hidden = [np.zeros((N_DRAWS, 0, n_classes))], [np.zeros(0)], [np.zeros((0, width))]
        for logits, read in self._by_block(rows):
            draws.append(softmax(logits / self.parts.calibration.temperature).mean(axis=1))
            apart.append(np.maximum(-logsumexp(logits, axis=3).mean(axis=(0, 1)), 0.0))
            hidden.append(read)
        made, divergence = of_draws(np.concatenate(draws, axis=1)), np.concatenate(apart)
        return Judged(replace(made, epistemic=made.epistemic + divergence), made.epistemic, divergence, np.concatenate(hidden))

    def outside_training_range(self, values: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether more than a tenth of an object's known features lie outside the central 99 % of the training fold.  (B, F) to (B,)."""
        return self.parts.scaler.outside_share(values) > MAX_OUTSIDE_SHARE

    def anomaly(self, judged: Judged, values: NDArray[np.floating]) -> Anomaly:
        """How unusual objects are, from what `judge` made of them and their feature values (B, F). ModelError for a model whose novelty is not fitted."""
        return self._novelty.anomaly(self.seen(judged, values, self.latents))

    @property
    def latents(self) -> Latents:
        """What objects that trained look like. ModelError for a model whose novelty is not fitted."""
        return self._novelty.latents

    @property
    def _novelty(self) -> Novelty:
        if self.parts.novelty is None:
            raise ModelError(f"{self.version}: a model with {_NOVELTY} expected, found one without; train it anew")
        return self.parts.novelty

    def seen(self, judged: Judged, values: NDArray[np.floating], latents: Latents) -> Seen:
        """The components of novelty, by what objects that trained look like."""
        return seen(latents, self.parts.forest, (judged.disagreement, judged.divergence, judged.hidden), self.features, values)

    def logits(self, rows: FeatureRows) -> FloatArray:
        """(K, 2, B, C) by K drawn last layers, for the light curves moved within their errors along a noise pattern and against it: the means of the
        network's and the trees' logarithms of probabilities.

        Opposite to each other, so that what they differ by in first order cancels in their mean; and along the same pattern for every object, so its
        answer never depends on where it stands.
        """
        return np.concatenate([np.zeros((N_DRAWS, 2, 0, len(self.classes))), *(logits for logits, _ in self._by_block(rows))], axis=2)

    def _by_block(self, rows: FeatureRows) -> Iterator[tuple[FloatArray, FloatArray]]:
        """`logits` and hidden values, _BLOCK rows after the other: so many stay in a core's cache."""
        for start in range(0, len(rows), _BLOCK):
            yield self._of_block(rows.take(slice(start, start + _BLOCK)))

    def _of_block(self, rows: FeatureRows) -> tuple[FloatArray, FloatArray]:
        """Of up to _BLOCK rows, computed as a full block."""
        parts, full = self.parts, rows.padded(_BLOCK)
        last = torch.from_numpy(parts.last_layers.reshape(-1, parts.last_layers.shape[2]))  # all draws as one layer
        with torch.inference_mode():
            branch = parts.network.features(torch.from_numpy(parts.scaler.scaled(full.values)))
            joined = [torch.cat([self._summary(curve), branch], dim=1) for curve in self._curves.drawn(full)]
            hidden = parts.network.last_hidden(torch.cat(joined))
            logits = torch.nn.functional.linear(hidden, last[:, :-1], last[:, -1]).unflatten(1, (N_DRAWS, -1))
            of_network = torch.log_softmax(logits, dim=2).double().numpy()
        drawn = of_network.reshape(2, _BLOCK, N_DRAWS, -1).transpose(2, 0, 1, 3)[:, :, : len(rows)]
        read = hidden.double().numpy().reshape(2, _BLOCK, -1).mean(axis=0)[: len(rows)]
        return 0.5 * (drawn + parts.trees.log_probabilities(rows.values)), read


def assemble(manifest: Mapping[str, Any], parts: Parts) -> PublishedModel:
    """The model made of `parts`, in memory. Its version is <network>-<feature set>-<hash of the weights>: the same training gives the same version.

    manifest: contract_version and whatever else is to be told; version, feature set, features, classes, sizes and hashes are added.
    """
    scaler, feature_set, kind = parts.scaler, parts.feature_set, kind_of(parts.network.shape)
    arrays: Arrays = {
        "centre": scaler.centre,
        "spread": scaler.spread,
        "lowest": scaler.lowest,
        "highest": scaler.highest,
        "missing": scaler.missing,
        "pattern": parts.pattern,
    }
    weights = {name: tensor.contiguous() for name, tensor in parts.network.state_dict().items()}
    files = {
        "network.safetensors": save_tensors({**weights, _LAST: torch.from_numpy(parts.last_layers)}),
        "inputs.safetensors": _array_bytes(arrays),
        "trees.safetensors": _array_bytes(parts.trees.arrays()),
        "forest.safetensors": _array_bytes(parts.forest.arrays()),
        **({_NOVELTY: _array_bytes(parts.novelty.arrays())} if parts.novelty else {}),
    }
    calibration = parts.calibration.as_dict()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    told = {
        **manifest,
        "format": FORMAT,
        "version": f"{kind}-{feature_set.name}-{hashlib.sha256(json.dumps([hashes, calibration]).encode()).hexdigest()[:8]}",
        "feature_set": feature_set.name,
        "features": list(model_features(feature_set)),
        "classes": list(CLASS_NAMES),
        "network": {"kind": kind, **parts.network.shape.as_dict()},
        "calibration": calibration,
        "range_rule": f"outside where more than {MAX_OUTSIDE_SHARE:.0%} of the known features lie outside the training fold's 0.5 % and 99.5 % quantiles",
        "files": hashes,
    }
    files[MANIFEST] = (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()
    return PublishedModel(files)


def save(root: Path, manifest: Mapping[str, Any], parts: Parts) -> PublishedModel:
    """`assemble` it and write the directory root/<version>, complete or not at all, over an older one of that name."""
    model = assemble(manifest, parts)
    _write(root / model.version, model.files)
    return model


def load(directory: Path | Traversable, contracts: Mapping[str, int]) -> PublishedModel:
    """The model in `directory`. ModelError (exit 69) where it is missing, damaged, or made for another contract, feature set or taxonomy.

    contracts : names of the feature sets it may be of -> version of their table's contract
    """
    if not directory.joinpath(MANIFEST).is_file():
        raise ModelError(
            f"{directory}: expected a published model, found no {MANIFEST}; train one, or set scoring.models_path and scoring.model"
        )
    manifest = _parsed(directory.joinpath(MANIFEST).read_bytes(), str(directory))
    given = str(manifest.get("feature_set"))
    if given not in contracts:
        raise _of_another_contract(directory, "feature_set", " or ".join(contracts), given)
    expected = {
        "format": FORMAT,
        "contract_version": contracts[given],
        "features": list(model_features(FEATURE_SETS[given])),
        "classes": list(CLASS_NAMES),
    }
    for name, value in expected.items():
        if manifest.get(name) != value:
            raise _of_another_contract(directory, name, value, manifest.get(name))
    names = [*dict.fromkeys((MANIFEST, _NOVELTY, *manifest.get("files", {})))]
    missing = [name for name in names if not directory.joinpath(name).is_file()]
    if missing:
        raise ModelError(f"{directory}: damaged: {', '.join(missing)} not there; copy the directory again or train it anew")
    try:
        return _in_this_process(tuple(sorted((name, directory.joinpath(name).read_bytes()) for name in names)))
    except ModelError as error:
        raise ModelError(f"{directory}: {error}") from error


def find(models_path: str, contracts: Mapping[str, int], version: str = "") -> Path | Traversable:
    """Directory of a version, or of the one published last for one of the feature sets. ModelError if there is none.

    models_path : '' for the versions shipped in the package      contracts : see `load`; they are not looked at where a version is asked for
    """
    root: Path | Traversable = Path(models_path) if models_path else package_files("deeprubin_spark").joinpath("published")
    there = [entry for entry in root.iterdir() if entry.joinpath(MANIFEST).is_file()] if root.is_dir() else []
    told = {entry.name: _parsed(entry.joinpath(MANIFEST).read_bytes(), entry.name) for entry in there}
    there = [e for e in there if e.name == version or (not version and told[e.name].get("feature_set") in contracts)]
    if not there:
        wanted = f"model {version!r}" if version else f"a model of feature set {' or '.join(contracts)}"
        raise ModelError(
            f"{root}: expected {wanted}, found {', '.join(sorted(told)) or 'none'}; train one with deeprubin-train, or set scoring.models_path and "
            "scoring.model"
        )
    return max(there, key=lambda entry: (told[entry.name].get("published_at", ""), entry.name))


def _of_another_contract(directory: Path | Traversable, name: str, expected: object, found: object) -> ModelError:
    return ModelError(
        f"{directory}: made for another contract: {name} expected {_short(expected)}, found {_short(found)}; train a version with this release, or use "
        "the release that made it"
    )


@functools.lru_cache(maxsize=2)
def _in_this_process(files: tuple[tuple[str, bytes], ...]) -> PublishedModel:
    """The model of these files, built once in this process."""
    return PublishedModel(dict(files))


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ModelError(f"{where}: {MANIFEST} is not JSON ({error}); copy the directory again or train it anew") from error
    if not isinstance(manifest, dict):
        raise ModelError(
            f"{where}: {MANIFEST} expected an object, found {type(manifest).__name__}; copy the directory again or train it anew"
        )
    return manifest


def _manifest(files: Files) -> dict[str, Any]:
    manifest = _parsed(files[MANIFEST], "model")
    for name, expected in manifest["files"].items():
        found = hashlib.sha256(files[name]).hexdigest()
        if found != expected:
            raise ModelError(
                f"damaged: {name} has SHA-256 {found[:12]}..., the manifest says {expected[:12]}...; copy the directory again or train it anew"
            )
    return manifest


def _parts(files: Files, manifest: dict[str, Any]) -> Parts:
    try:
        sizes = {name: value for name, value in manifest["network"].items() if name != "kind"}
        network = network_of(SHAPES[manifest["network"]["kind"]](**sizes))
        tensors = load_tensors(files["network.safetensors"])
        last_layers = tensors.pop(_LAST).numpy()
        network.load_state_dict(tensors)
        inputs = load_arrays(files["inputs.safetensors"])
        scaler = FeatureScaler(*(np.asarray(inputs[name], np.float64) for name in ("centre", "spread", "lowest", "highest", "missing")))
        trees = ClassTrees.of(load_arrays(files["trees.safetensors"]))
        forest = AnomalyForest.of(load_arrays(files["forest.safetensors"]))
        feature_set = FEATURE_SETS[manifest["feature_set"]]
        calibration = Calibration.of(manifest["calibration"])
        novelty = Novelty.of(load_arrays(files[_NOVELTY])) if _NOVELTY in files else None
        return Parts(feature_set, network.eval(), trees, scaler, forest, inputs["pattern"], last_layers, calibration, novelty)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the files do not make a model: {type(error).__name__}: {error}; train it anew") from error


def _write(directory: Path, files: Files) -> None:
    """Beside the place first, then renamed into it."""
    fresh = directory.with_name(f".{directory.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, content in files.items():
        (fresh / name).write_bytes(content)
    if directory.exists():
        old = directory.with_name(f".{directory.name}.old.{os.getpid()}")
        directory.rename(old)
        fresh.rename(directory)
        shutil.rmtree(old)
    else:
        fresh.rename(directory)


def _array_bytes(arrays: Arrays) -> bytes:
    """Safetensors takes an array's memory as it lies, so a view with strides would be written wrong."""
    content: bytes = save_arrays({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    return content


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 120 else f"{text[:100]}... ({len(text)} characters)"
