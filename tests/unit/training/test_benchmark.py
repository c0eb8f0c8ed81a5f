from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import benchmark, fits
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.protocols import N_FOLDS, PROTOCOLS, SHARES, of_equal_classes

N = 140
IA, II, TDE = (CLASS_NAMES.index(name) for name in ("SNIa", "SNII", "TDE"))


def points_of(mean):
    """The grid of the first band as measurements in g, (N, 5 x 256)."""
    made = np.full((len(mean), 5, 256), np.nan, np.float32)
    made[:, :, :64] = np.stack(np.broadcast_arrays(np.linspace(0.0, 100.0, 64), 4800.0, mean[:, 0], 1.0, 1.0), axis=1)
    return made.reshape(len(mean), -1)


def objects(seed=1, told=True):
    """Three classes that two of four features tell apart, or none does; a tenth of the values is missing."""
    rng = np.random.default_rng(seed)
    target = rng.choice([IA, II, TDE], size=N, p=[0.5, 0.3, 0.2])
    values = rng.normal(size=(N, 4)).astype(np.float32)
    if told:
        values[:, 0] += 4.0 * (target == II)
        values[:, 1] += 4.0 * (target == TDE)
    values[rng.uniform(size=values.shape) < 0.1] = np.nan
    time = np.tile(np.linspace(-30.0, 70.0, 64, dtype=np.float32), (N, 1))
    mean = rng.normal(size=(N, 2, 64)).astype(np.float32)
    names = ("duration", "rise_20_g", "host_photo_z", "rest_width_g")
    ids = np.array([f"{i:04}" for i in range(N)])
    return Labelled(ids, names, values, target, time, mean, np.ones_like(mean), points_of(mean), target.astype(str))


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch):
    monkeypatch.setattr(fits, "EPOCHS", 20)


@pytest.fixture(autouse=True)
def one_thread():
    """scikit-learn's threads wait for each other in a busy loop, which on a machine with other work takes minutes for a small fit."""
    with threadpool_limits(1):
        yield


def task(directory, of=None, set_name="plasticc", model="random_forest"):
    return benchmark.Task(set_name, PROTOCOLS[set_name], model, of or objects(), np.arange(N) % 7 == 0, directory)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_object_trains_and_is_judged_and_all_are_used(name):
    made = objects()
    spectroscopic = np.arange(N) % 7 == 0
    for group, splits in PROTOCOLS[name].splits(made.target, spectroscopic, 3).items():
        for split in splits:
            assert not set(split.train) & set(split.test) and len(split.train) + len(split.test) == N
        if name == "plasticc":
            assert sorted(np.concatenate([split.test for split in splits])) == list(range(N)) and len(splits) == N_FOLDS
        if name == "spcc-biased":
            assert set(splits[0].train) == set(np.flatnonzero(spectroscopic))
        if name == "spcc-random":
            assert len(splits[0].train) == pytest.approx(float(group.removesuffix(" %")) / 100.0 * N, abs=1)
    assert len(PROTOCOLS["spcc-random"].splits(made.target, spectroscopic, 3)) == len(SHARES)


@pytest.mark.parametrize("model", ["boosted_trees", "random_forest", "tcn"])
def test_a_model_learns_what_there_is_and_nothing_else(tmp_path, model):
    found = benchmark.run_benchmark(task(tmp_path / "told", model=model), [1])["scores"]["five folds"]
    assert (
        found["accuracy"]["mean"] > (0.65 if model == "tcn" else 0.9)
        and found["accuracy"]["low"] < found["accuracy"]["mean"] < found["accuracy"]["high"]
    )
    blind = benchmark.run_benchmark(task(tmp_path / "blind", objects(told=False), model=model), [1])["scores"]["five folds"]
    assert blind["balanced_accuracy"]["low"] < 1.0 / 3.0 + 0.08 and blind["accuracy"]["mean"] < 0.6


def test_permuted_labels_give_chance(tmp_path):
    made = objects()
    shuffled = replace(made, target=np.random.default_rng(5).permutation(made.target))
    found = benchmark.run_benchmark(task(tmp_path, shuffled), [1])["scores"]["five folds"]
    assert found["balanced_accuracy"]["low"] < 1.0 / 3.0 + 0.03 and found["kaggle_log_loss"]["mean"] > 0.9 * np.log(3.0)


def test_a_fit_that_is_there_is_not_made_again_and_other_data_is(tmp_path):
    first = benchmark.run_benchmark(task(tmp_path), [1, 2])
    places = sorted(tmp_path.glob("plasticc/random_forest/seed-*/*.parquet"))
    assert len(places) == 2 * N_FOLDS
    before = [place.stat().st_mtime_ns for place in places]
    places[3].unlink()  # as after a crash
    again = benchmark.run_benchmark(task(tmp_path), [1, 2])
    after = [place.stat().st_mtime_ns for place in places]
    assert [a == b for a, b in zip(before, after, strict=True)] == [i != 3 for i in range(2 * N_FOLDS)]
    assert again["scores"] == first["scores"] == json.loads((tmp_path / "plasticc-random_forest.json").read_text())["scores"]
    other = benchmark.run_benchmark(task(tmp_path, objects(seed=2)), [1, 2])
    assert other["data_sha256"] != first["data_sha256"] and other["scores"] != first["scores"]


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_a_network_over_points_fits_the_same_way(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(fits, "EPOCHS", 2)
    made = objects()
    found = fits.FITS[kind](fits.Work(made.take(np.arange(100)), made.take(np.arange(100, N)), np.ones(len(CLASS_NAMES)), 1, tmp_path))
    assert found.shape == (N - 100, len(CLASS_NAMES)) and np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_a_blend_is_the_geometric_mean_of_its_models_and_makes_no_fit_twice(tmp_path):
    found = benchmark.run_benchmark(task(tmp_path, model="blend"), [1])
    less = found["against"]["boosted_trees"]["five folds"]["accuracy"]
    alone = benchmark.run_benchmark(task(tmp_path, model="boosted_trees"), [1])
    ours, theirs = (result["scores"]["five folds"]["accuracy"]["mean"] for result in (found, alone))
    assert less["mean"] == pytest.approx(ours - theirs, abs=2e-5) and less["low"] <= less["mean"] <= less["high"]
    assert not alone["against"]
    of = {
        name: pq.read_table(tmp_path / "plasticc" / name / "seed-1" / "fold-0.parquet").to_pandas()
        for name in ("boosted_trees", "tcn", "blend")
    }
    ours, theirs, both = (of[name].filter(like="p_").to_numpy() for name in ("boosted_trees", "tcn", "blend"))
    raised = np.sqrt(np.maximum(ours, 1e-6) * np.maximum(theirs, 1e-6))
    np.testing.assert_allclose(both, raised / raised.sum(axis=1, keepdims=True))
    assert of["blend"]["object_id"].equals(of["tcn"]["object_id"])
    assert not list(tmp_path.glob("plasticc/tcn/seed-1/fold-*-*")), "checkpoints of finished fits are removed"
    before = (tmp_path / "plasticc" / "tcn" / "seed-1" / "fold-0.parquet").stat().st_mtime_ns
    benchmark.run_benchmark(task(tmp_path, model="tcn"), [1])
    assert (tmp_path / "plasticc" / "tcn" / "seed-1" / "fold-0.parquet").stat().st_mtime_ns == before


def test_a_class_seen_only_with_hosts_is_not_expected_without():
    made = objects()
    made.values[(made.target == TDE) & (np.arange(N) % 2 == 0), made.names.index("host_photo_z")] = np.nan
    has_host = np.isfinite(made.column("host_photo_z"))
    kept = np.flatnonzero(has_host | (made.target == TDE))
    work = fits.Work(made.take(kept), made, np.ones(len(CLASS_NAMES)), 1, None)
    found = fits.where_seen(work, np.full((N, len(CLASS_NAMES)), 1.0 / len(CLASS_NAMES)))
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (~has_host).sum() > 10 and found[~has_host, TDE].min() > 0.99
    assert found[has_host][:, [IA, II, TDE]].min() == pytest.approx(1.0 / 3.0, rel=1e-3)


def test_one_seed_has_no_spread_and_more_have_one(tmp_path):
    one, two = (benchmark.run_benchmark(task(tmp_path), seeds)["scores"]["five folds"]["accuracy"] for seeds in ([1], [1, 2]))
    assert one["sd_of_seeds"] is None and two["sd_of_seeds"] >= 0.0


def test_without_redshift_no_feature_has_it():
    assert objects().without_redshift().names == ("duration", "rise_20_g")


def test_equal_classes_weigh_the_same_in_sum_and_a_disruption_twice():
    counts = np.zeros(len(CLASS_NAMES))
    counts[[IA, II, TDE]] = 100, 20, 5
    weight = counts * of_equal_classes(counts)
    assert weight[IA] == weight[II] == 1.0 and weight[TDE] == 2.0 and not weight[counts == 0].any()
