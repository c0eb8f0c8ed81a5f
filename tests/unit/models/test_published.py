from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from deeprubin_spark.errors import ModelError
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.measurements import MODEL_RECORD
from deeprubin_spark.models import published
from deeprubin_spark.models.calibrated import Calibration
from deeprubin_spark.models.curves import PointCurves
from deeprubin_spark.models.forest import AnomalyForest
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows, FeatureScaler, channels, model_features, noise_patterns, redrawn
from deeprubin_spark.models.networks import network_of, shape_of
from deeprubin_spark.models.novelty import Latents, Novelty
from deeprubin_spark.models.points import as_matrix
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.trees import ClassTrees
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES

MODEL_FEATURES = model_features(ZTF_GR)

CONTRACT = {"contract_version": 1}
CONTRACTS = {ZTF_GR.name: 1}


def rows(n: int) -> FeatureRows:
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n, len(MODEL_FEATURES)))
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    time = np.linspace(-20.0, 60.0, 64) * rng.uniform(0.5, 5.0, size=(n, 1))
    return FeatureRows(values, time, rng.normal(size=(n, 2, 64)) * 1e4, rng.uniform(1e2, 1e4, size=(n, 2, 64)))


def some_points(n: int) -> np.ndarray:
    """3 to 3 n measurements in g and r."""
    rng = np.random.default_rng(n)
    counts = 3 * np.arange(1, n + 1)
    records = np.zeros(counts.sum(), MODEL_RECORD)
    records["mjd"], records["band"] = rng.uniform(59000.0, 59100.0, len(records)), rng.integers(1, 3, len(records))
    records["flux_njy"], records["flux_err_njy"] = rng.normal(size=len(records)) * 1e4, 1e3
    return as_matrix(records, np.concatenate(([0], np.cumsum(counts))))


def trees(values: np.ndarray) -> ClassTrees:
    """Of classes that the first feature tells apart a little."""
    target = np.clip(np.nan_to_num(3.0 * values[:, 0]).astype(int) + 5, 0, 9)
    with threadpool_limits(1):
        fitted = HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4, random_state=1).fit(values, target)
    return ClassTrees.of_fitted(fitted, len(CLASS_NAMES))


def last_layers(network: HybridNetwork) -> np.ndarray:
    """The network's own, moved a little."""
    last = network.classes[-1]
    own = np.column_stack([last.weight.detach().numpy(), last.bias.detach().numpy()])
    return (own + np.random.default_rng(3).normal(size=(published.N_DRAWS, *own.shape)) * 0.05).astype(np.float32)


@pytest.fixture(scope="module")
def parts() -> published.Parts:
    torch.manual_seed(1)
    values = rows(400).values
    network = LightCurveTcn(TcnShape(len(MODEL_FEATURES), len(CLASS_NAMES))).eval()
    forest, pattern = AnomalyForest.fit(values, 1), noise_patterns(64, 1)[:1]
    calibration = Calibration(1.3, 0.9, np.array([0.2]), np.array([0.1, 0.5]), np.full(14, 1.0 / 14))
    scaler = FeatureScaler.fit(values, MODEL_FEATURES)
    made = published.Parts(ZTF_GR, network, trees(values), scaler, forest, pattern, last_layers(network), calibration)
    return dataclasses.replace(made, novelty=novelty_of(published.assemble(CONTRACT, made)))


def novelty_of(model: published.PublishedModel) -> Novelty:
    """Of 300 known objects of three classes, whose class is which third of the features' first they are in, and 100 usual ones."""
    known, usual = rows(300), rows(100)
    target = np.searchsorted(np.nanquantile(known.values[:, 0], [1 / 3, 2 / 3]), np.nan_to_num(known.values[:, 0])) * 2
    latents = Latents.fit(model.judge(known).hidden, target, np.array([f"known{i}" for i in range(300)]), 1)
    return Novelty.fit(latents, model.seen(model.judge(usual), usual.values, latents).components)


@pytest.fixture
def saved(tmp_path, parts):
    return tmp_path, published.save(
        tmp_path, {**CONTRACT, "published_at": "2020-01-01T00:00:00+00:00", "metrics": {"log_loss": 1.0}}, parts
    )


def test_a_published_model_read_back_gives_the_same_answers(saved):
    root, model = saved
    again = published.load(root / model.version, CONTRACTS)
    new = rows(20)
    assert again.version == model.version and again.manifest == model.manifest
    np.testing.assert_array_equal(again.predict(new).probabilities, model.predict(new).probabilities)
    odd, same = (one.anomaly(one.judge(new), new.values) for one in (model, again))
    np.testing.assert_array_equal(odd.score, same.score)
    np.testing.assert_array_equal(odd.false_alarm_rate, same.false_alarm_rate)
    np.testing.assert_array_equal(again.outside_training_range(new.values), model.outside_training_range(new.values))


def test_what_is_read_back_is_what_was_trained_to_the_last_bit(saved, parts):
    root, model = saved
    again = published.load(root / model.version, CONTRACTS).parts
    assert not parts.scaler.centre.flags.c_contiguous, "a view with strides is the case that safetensors would write wrong"
    for name in ("centre", "spread", "lowest", "highest", "missing"):
        np.testing.assert_array_equal(getattr(again.scaler, name), getattr(parts.scaler, name))
    for name, values in parts.forest.arrays().items():
        np.testing.assert_array_equal(again.forest.arrays()[name], values)
    for name, tensor in parts.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor)
    np.testing.assert_array_equal(again.pattern, parts.pattern)
    np.testing.assert_array_equal(again.last_layers, parts.last_layers)
    assert again.calibration.as_dict() == parts.calibration.as_dict()


def test_a_published_directory_holds_no_pickle_and_is_small(saved):
    root, model = saved
    files = sorted(path.name for path in (root / model.version).iterdir())
    assert files == [
        "forest.safetensors",
        "inputs.safetensors",
        "manifest.json",
        "network.safetensors",
        "novelty.safetensors",
        "trees.safetensors",
    ]
    assert sum(path.stat().st_size for path in (root / model.version).iterdir()) < 2_000_000
    assert [path.name for path in root.iterdir()] == [model.version]


def test_probabilities_sum_to_one_and_what_is_not_epistemic_is_no_more_than_their_entropy(saved):
    _, model = saved
    made = model.predict(rows(70))
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert (made.probabilities >= 0.0).all()
    entropy = -(made.probabilities * np.log(made.probabilities)).sum(axis=1)
    assert (made.aleatoric <= entropy + 1e-9).all() and (made.epistemic >= entropy - made.aleatoric - 1e-9).all()
    assert (made.aleatoric > 0.0).all()


def test_a_prediction_does_not_depend_on_the_batch_it_came_in(saved):
    _, model = saved
    every = rows(150)
    whole = model.predict(every)
    order = np.random.default_rng(4).permutation(150)
    shuffled = model.predict(every.take(order))
    np.testing.assert_array_equal(whole.probabilities[order], shuffled.probabilities)
    parts = [model.predict(every.take(slice(start, start + 7))).probabilities for start in range(0, 150, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.probabilities)


def test_larger_errors_move_a_prediction_further(saved):
    _, model = saved
    every = rows(60)
    vague = FeatureRows(every.values, every.grid_time, every.grid_mean, every.grid_sd * 10.0)
    apart = [np.abs(np.subtract(*model.logits(given)[0])).mean() for given in (vague, every)]
    assert apart[0] > apart[1] > 0.0


def test_epistemic_is_what_draws_and_network_and_trees_disagree_about(saved, parts):
    """Of draws that agree only the divergence of network and trees from their geometric mean is left."""
    _, model = saved
    every = rows(60)
    agreed = published.assemble(
        CONTRACT, dataclasses.replace(parts, last_layers=np.repeat(parts.last_layers[:1], published.N_DRAWS, axis=0))
    )
    trees = np.exp(parts.trees.log_probabilities(every.values))
    trees /= trees.sum(axis=1, keepdims=True)
    of_curves = []
    for blended in agreed.logits(every)[0]:
        network = np.exp(2.0 * blended - np.log(trees))
        network /= network.sum(axis=1, keepdims=True)
        pooled = np.exp(blended) / np.exp(blended).sum(axis=1, keepdims=True)
        of_curves.append(0.5 * sum((pooled * np.log(pooled / member)).sum(axis=1) for member in (network, trees)))
    left = agreed.predict(every).epistemic
    np.testing.assert_allclose(left, np.mean(of_curves, axis=0), atol=1e-4)
    assert left.min() > 0.01 and not np.array_equal(model.predict(every).epistemic, left)


def test_logits_are_means_of_the_networks_with_a_drawn_last_layer_and_the_trees(saved, parts):
    _, model = saved
    every = rows(30)
    own = parts.network.classes[-1]
    moved = torch.from_numpy(redrawn(channels(every), parts.pattern[0], 1.0))
    features = torch.from_numpy(parts.scaler.scaled(every.values))
    with torch.inference_mode():
        hidden = parts.network.last_hidden(parts.network.joined(moved, features)[0])
        expected = hidden @ torch.from_numpy(parts.last_layers[2, :, :-1]).T + torch.from_numpy(parts.last_layers[2, :, -1])
    assert own.out_features == len(CLASS_NAMES)
    both = 0.5 * (log_softmax(expected.double().numpy(), axis=1) + parts.trees.log_probabilities(every.values))
    np.testing.assert_allclose(model.logits(every)[2, 0], both, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_a_network_over_points_is_published_and_answers_each_row_for_itself(tmp_path, parts, kind):
    torch.manual_seed(2)
    network = network_of(shape_of(kind, len(MODEL_FEATURES), len(CLASS_NAMES), 2)).eval()
    pattern = PointCurves.of(1).pattern
    of_points = dataclasses.replace(parts, network=network, pattern=pattern, last_layers=last_layers(network))
    model = published.save(tmp_path, CONTRACT, of_points)
    again = published.load(tmp_path / model.version, CONTRACTS)
    assert model.version.startswith(f"{kind}-ztf_gr_2-") and again.kind == kind
    every = dataclasses.replace(rows(9), points=some_points(9))
    whole = again.predict(every).probabilities
    np.testing.assert_allclose(whole.sum(axis=1), 1.0)
    np.testing.assert_array_equal(again.predict(every.take(slice(3, 5))).probabilities, whole[3:5])
    with pytest.raises(ValueError, match="needs points"):
        again.predict(rows(3))


def test_no_rows_give_no_predictions(saved):
    assert saved[1].predict(rows(3).take(slice(0, 0))).probabilities.shape == (0, len(CLASS_NAMES))


def test_a_model_travels_to_a_worker_and_is_built_there_once(saved):
    _, model = saved
    sent = pickle.dumps(model)
    assert pickle.loads(sent) is pickle.loads(sent)
    np.testing.assert_array_equal(pickle.loads(sent).predict(rows(5)).probabilities, model.predict(rows(5)).probabilities)


def test_the_same_weights_have_the_same_version_and_others_another(saved, parts):
    _, model = saved
    assert published.assemble(CONTRACT, parts).version == model.version
    other = dataclasses.replace(parts, calibration=dataclasses.replace(parts.calibration, temperature=1.4))
    assert published.assemble(CONTRACT, other).version != model.version


@pytest.mark.parametrize("name", ["network.safetensors", "inputs.safetensors", "forest.safetensors"])
def test_a_damaged_file_is_refused_with_exit_69(saved, name):
    root, model = saved
    path = root / model.version / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=f"{name} has SHA-256") as refused:
        published.load(root / model.version, CONTRACTS)
    assert refused.value.exit_code == 69


def test_a_missing_file_or_manifest_is_refused(saved):
    root, model = saved
    (root / model.version / "forest.safetensors").unlink()
    with pytest.raises(ModelError, match=r"forest.safetensors not there"):
        published.load(root / model.version, CONTRACTS)
    with pytest.raises(ModelError, match=r"no manifest\.json"):
        published.load(root / "nothing", CONTRACTS)
    (root / model.version / "manifest.json").write_text("<html>")
    with pytest.raises(ModelError, match="not JSON"):
        published.load(root / model.version, CONTRACTS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("contract_version", 2), ("feature_set", "ztf_gr_0"), ("features", ["duration"]), ("classes", ["SNIa"]), ("format", 99)],
)
def test_a_model_of_another_contract_is_refused(saved, name, value):
    root, model = saved
    path = root / model.version / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(ModelError, match=f"another contract: {name}"):
        published.load(root / model.version, CONTRACTS)


def test_the_newest_version_is_found_or_the_one_asked_for(tmp_path, parts):
    old = published.save(tmp_path, {**CONTRACT, "published_at": "2020-01-01T00:00:00+00:00"}, parts)
    changed = dataclasses.replace(parts, calibration=dataclasses.replace(parts.calibration, temperature=1.4))
    new = published.save(tmp_path, {**CONTRACT, "published_at": "2021-01-01T00:00:00+00:00"}, changed)
    assert published.find(str(tmp_path), CONTRACTS).name == new.version
    assert published.find(str(tmp_path), CONTRACTS, old.version).name == old.version
    with pytest.raises(ModelError, match="expected model 'tcn-0', found tcn-"):
        published.find(str(tmp_path), CONTRACTS, "tcn-0")
    with pytest.raises(ModelError, match="expected a model of feature set ztf_gr_2, found none"):
        published.find(str(tmp_path / "nowhere"), CONTRACTS)


@pytest.mark.parametrize("survey", ["ztf", "lsst"])
def test_the_shipped_models_are_small_load_under_todays_contract_and_say_they_saw_simulations(survey):
    contract = rule_of(survey).contract
    model = published.load(published.find("", contract), contract)
    assert sum(len(content) for content in model.files.values()) <= 3_000_000
    assert "simulated" in model.manifest["training"]["data"]
    assert model.manifest["metrics"]["log_loss"] < 1.0 and model.manifest["outside_range_of_test_fold"] < 0.05
    assert model.manifest["anomaly"]["objects"] >= 20
