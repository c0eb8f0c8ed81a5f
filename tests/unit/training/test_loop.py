from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load

from deeprubin_spark.errors import DataGateError
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.models.hybrid import Thinning
from deeprubin_spark.models.inputs import FeatureScaler, channels, model_features
from deeprubin_spark.models.networks import network_of
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.transformer import TransformerShape
from deeprubin_spark.training import loop
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.export import feature_rows
from deeprubin_spark.training.loop import Alone, Plan, Preparation, learning_rate, train

MODEL_FEATURES = model_features(ZTF_GR)

N_ROWS, N_CLASSES = 192, 3


def labelled(n: int, seed: int) -> dict[str, np.ndarray]:
    """Curves whose class is the place of a bump and the sign of a feature."""
    rng = np.random.default_rng(seed)
    label = rng.integers(N_CLASSES, size=n)
    time = np.tile(np.linspace(-30.0, 70.0, 64, dtype=np.float32), (n, 1))
    bump = np.exp(-0.5 * ((time - 20.0 * label[:, None]) / 10.0) ** 2) * 1e4
    values = rng.normal(size=(n, len(MODEL_FEATURES)))
    values[:, 0] += 2.0 * (label - 1)
    sd = np.full((n, 128), 500.0, np.float32)
    mean = np.tile(bump, 2) + rng.normal(size=(n, 128)) * 500.0
    arrays = {"features": values, "grid_time": time, "grid_mean": mean, "grid_sd": sd}
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    return {"row": np.arange(n), "label": label.astype(np.int32), "weight": np.ones(n, np.float32), **single}


def a_plan(data: dict[str, np.ndarray], **changes) -> Plan:
    plan = Plan(
        shape=TcnShape(len(MODEL_FEATURES), N_CLASSES, width=16, blocks=3, hidden=16),
        scaler=FeatureScaler.fit(data["features"], MODEL_FEATURES),
        class_weight=np.ones(N_CLASSES, np.float32),
        n_rows=len(data["row"]),
        n_shards=2,
        n_steps=64,
        epochs=3,
        batch_size=32,
        learning_rate=3e-3,
        seed=1,
    )
    return dataclasses.replace(plan, **changes)


def in_memory(data: dict[str, np.ndarray], plan: Plan):
    """Batches of row i in shard i % 2, in an order of the epoch's own."""

    def batches(epoch: int, shard: int):
        own = np.random.default_rng([epoch, shard]).permutation(np.flatnonzero(data["row"] % plan.n_shards == shard))
        for start in range(0, len(own), plan.batch_size):
            rows = own[start : start + plan.batch_size]
            yield {name: values[rows] for name, values in data.items()}

    return batches


def accuracy(network: bytes, plan: Plan, data: dict[str, np.ndarray]) -> float:
    made = LightCurveTcn(plan.shape)
    made.load_state_dict(load(network))
    with torch.inference_mode():
        logits, _, _ = made(torch.from_numpy(channels(feature_rows(data))), torch.from_numpy(plan.scaler.scaled(data["features"])))
    return float((logits.argmax(dim=1).numpy() == data["label"]).mean())


@pytest.fixture(scope="module")
def data():
    return labelled(N_ROWS, 1)


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(data):
    plan = a_plan(data)
    first, second = (train(plan, Alone(), in_memory(data, plan), Checkpoints(None)) for _ in range(2))
    other_plan = a_plan(data, seed=2)
    other = train(other_plan, Alone(), in_memory(data, other_plan), Checkpoints(None))
    assert first.losses == second.losses and first.network == second.network
    assert first.losses != other.losses
    assert len(first.losses) == plan.epochs and first.losses[-1] < first.losses[0]


def test_a_run_that_died_in_an_epoch_goes_on_from_the_last_checkpoint_as_if_it_had_not(data, tmp_path):
    plan = a_plan(data)
    whole = train(plan, Alone(), in_memory(data, plan), Checkpoints(None))

    def dies_in_the_second_epoch(epoch: int, shard: int):
        for i, batch in enumerate(in_memory(data, plan)(epoch, shard)):
            if epoch == 1 and i == 1:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        train(plan, Alone(), dies_in_the_second_epoch, Checkpoints(tmp_path))
    assert Checkpoints(tmp_path).epochs_done() == 1
    resumed = train(plan, Alone(), in_memory(data, plan), Checkpoints(tmp_path))
    assert resumed.losses == whole.losses and resumed.network == whole.network
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0002", "epoch-0003"]


def test_a_finished_run_is_not_trained_again(data, tmp_path):
    plan = a_plan(data)
    done = train(plan, Alone(), in_memory(data, plan), Checkpoints(tmp_path))

    def never(epoch: int, shard: int):
        raise AssertionError("no epoch is left")

    assert train(plan, Alone(), never, Checkpoints(tmp_path)).losses == done.losses


def test_a_row_that_comes_twice_or_not_at_all_stops_the_training(data):
    plan = a_plan(data)

    def one_row_for_another(epoch: int, shard: int):
        for batch in in_memory(data, plan)(epoch, shard):
            yield batch | {"row": np.where(batch["row"] == 7, 8, batch["row"])}

    with pytest.raises(DataGateError, match="2 came more or less often"):
        train(plan, Alone(), one_row_for_another, Checkpoints(None))
    with pytest.raises(DataGateError, match="ended before step"):
        train(plan, Alone(), lambda epoch, shard: iter(()), Checkpoints(None))


def test_padding_of_weight_zero_changes_no_loss(data):
    plan = a_plan(data, batch_size=N_ROWS // 2)
    padding = {name: values[:2] * 0 for name, values in data.items()} | {"row": np.array([N_ROWS, N_ROWS + 1])}
    padded = {name: np.concatenate([values, padding[name]]) for name, values in data.items()}
    padded_plan = dataclasses.replace(plan, n_rows=N_ROWS + 2, batch_size=N_ROWS // 2 + 1)
    whole = train(plan, Alone(), in_memory(data, plan), Checkpoints(None))
    with_padding = train(padded_plan, Alone(), in_memory(padded, padded_plan), Checkpoints(None))
    assert with_padding.losses == pytest.approx(whole.losses, rel=1e-4)


def test_what_is_learnt_holds_for_new_objects_and_permuted_labels_teach_nothing(data):
    plan = a_plan(data, epochs=24)
    new = labelled(300, 99)
    permuted = data | {"label": np.random.default_rng(3).permutation(data["label"])}
    learnt = train(plan, Alone(), in_memory(data, plan), Checkpoints(None))
    chance = train(plan, Alone(), in_memory(permuted, plan), Checkpoints(None))
    assert accuracy(learnt.network, plan, new) > 0.85
    assert abs(accuracy(chance.network, plan, new) - 1.0 / N_CLASSES) < 0.15


def with_points(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A point to a hundred for each row, at random times, in r."""
    rng, n = np.random.default_rng(9), len(data["row"])
    matrix = np.full((n, 5, 256), np.nan, np.float32)
    for row, length in enumerate(rng.integers(1, 100, size=n)):
        since_first = np.sort(rng.uniform(0.0, 60.0, size=length))
        wavelength, flux, flux_err = np.full(length, 6217.0), rng.normal(size=length) * 1e4, np.full(length, 1e3)
        matrix[row, :, :length] = since_first - since_first[0], wavelength, flux, flux_err, np.ones(length)
    return {**data, "points": matrix.reshape(n, -1)}


def test_parts_of_a_batch_hold_light_curves_of_like_length_and_their_gradients_add_up(data):
    batch = with_points({name: values[:30] for name, values in data.items()})
    plan = a_plan(data, shape=TransformerShape(len(MODEL_FEATURES), N_CLASSES))
    prepare = Preparation(plan)
    parts = prepare.parts(batch)
    lengths = [np.isfinite(part["points"][:, :256]).sum(axis=1) for part in parts]
    assert sorted(np.concatenate([part["row"] for part in parts])) == list(range(30))
    assert all(shorter.max() <= longer.min() for shorter, longer in itertools.pairwise(lengths))
    torch.manual_seed(1)
    network = network_of(plan.shape)
    for thinning in (module for module in network.modules() if isinstance(module, Thinning)):
        thinning.share = 0.0
    whole = loop._gradient(network, prepare(batch, 0), plan.noise)
    added = sum(loop._gradient(network, prepare(part, 0), plan.noise) for part in parts)
    torch.testing.assert_close(added, whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))
    assert Preparation(a_plan(data)).parts(batch) == [batch], "the grid is as long for all"


def test_the_learning_rate_warms_up_and_ends_near_zero(data):
    plan = a_plan(data, epochs=40)
    rates = [learning_rate(plan, step) for step in range(plan.epochs * plan.steps_per_epoch)]
    assert rates[0] < max(rates) == pytest.approx(plan.learning_rate, rel=1e-6)
    assert rates[-1] < 0.01 * plan.learning_rate
