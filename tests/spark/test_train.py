"""Features in the warehouse become a published model: pinned export, Petastorm, two Horovod ranks, one directory."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from deeprubin_spark.jobs import train as train_job
from mlflow import MlflowClient

from deeprubin_spark import runs
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.models import published
from deeprubin_spark.models.inputs import model_features
from deeprubin_spark.schemas import FEATURES, LABELS, MODELS
from deeprubin_spark.schemas.features import FEATURE_SET, rule_of
from deeprubin_spark.tables import Warehouse
from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.distributed import train_on_spark
from deeprubin_spark.training.export import export, read_fold
from deeprubin_spark.training.loop import Alone, Plan, Trained, train
from deeprubin_spark.training.publish import planned, usual_objects
from deeprubin_spark.training.reader import Shards
from deeprubin_spark.training.tracking import EXPERIMENT
from tests import standalone
from tests.conftest import QUICK_START, SMALL_SESSION, places, settings_at
from tests.contract_rows import frame_of, row_of

MODEL_FEATURES = model_features(ZTF_GR)

pytestmark = pytest.mark.training

NIGHT = dt.date(2024, 12, 30)
CLASSES = ("SNIa", "RRL", "AGN")
N_PARENTS = 140
SMALL = ("training.epochs=2", "training.batch_size=16", "training.learning_rate=0.003", "training.processes=2")


def as_bytes(values: np.ndarray) -> bytes:
    return values.astype("<f4").tobytes()


def feature_row(object_id: str, label: int, rng: np.random.Generator, **more):
    """A bump whose place tells the class."""
    time_of_grid = np.linspace(-30.0, 70.0, 64)
    bump = np.exp(-0.5 * ((time_of_grid - 20.0 * label) / 10.0) ** 2) * 1e4
    values = {name: float(rng.normal()) for name in MODEL_FEATURES if rng.uniform() > 0.05}
    told = {
        "survey": "plasticc_ztf", "object_id": object_id, "night": NIGHT, "feature_set": FEATURE_SET, "status": "ok", "n_detections": 9,
        "grid_time": as_bytes(time_of_grid),
        "grid_mean": as_bytes(np.tile(bump, 2) + rng.normal(size=128) * 500.0),
        "grid_sd": as_bytes(np.full(128, 500.0)),
    }  # fmt: skip
    return row_of(FEATURES, **{**told, **values, **more})


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory) -> Path:
    """Where a warehouse lies with labelled features: every parent as a whole and one part of it, some rows that must not be used, and real objects."""
    directory = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(1)
    labels = [i % len(CLASSES) for i in range(N_PARENTS)]
    names = [(str(i) + part, labels[i]) for i in range(N_PARENTS) for part in ("", "/w1")]
    simulated = [feature_row(name, label, rng) for name, label in names]
    simulated.append(feature_row("9001", 0, rng))  # no label
    simulated.append(feature_row("9002", 0, rng, n_detections=2))
    simulated.append(feature_row("9003", 0, rng, status="fit_failed"))
    real = [feature_row(f"ZTF{i}", 0, rng, survey="ztf", night=dt.date(2019, 7, 1)) for i in range(25)]
    real += [feature_row(f"ZTF{i}", 0, rng, survey="ztf", night=dt.date(2018, 11, 29)) for i in range(20, 60)]
    truth = [(str(i), CLASSES[label]) for i, label in enumerate(labels)] + [("9002", "SNIa"), ("9003", "SNIa"), ("9004", "SNIa")]
    told = [
        row_of(
            LABELS,
            survey="plasticc_ztf",
            object_id=name,
            source="plasticc_truth",
            labelled_on=dt.date(2018, 9, 28),
            label="0",
            **{"class": label},
        )
        for name, label in truth
    ]
    warehouse = Warehouse(spark, settings_at(directory).warehouse)
    warehouse.append(FEATURES, frame_of(spark, FEATURES, simulated + real), "test")
    warehouse.append(LABELS, frame_of(spark, LABELS, told), "test")
    return directory


def run_at(spark, place: Path, models: str, *overrides: str) -> runs.Run:
    settings = settings_at(place, *SMALL, f"training.publish_to={place / models}", *overrides)
    return runs.Run("train", "", (), settings, spark, Warehouse(spark, settings.warehouse))


@pytest.fixture(scope="module")
def exported(spark, place):
    return export(run_at(spark, place, "models"))


def path_of(url: str) -> str:
    return url.removeprefix("file://")


def test_row_groups_are_equal_a_multiple_of_the_ranks_and_padded_by_rows_of_weight_zero(exported):
    assert len(exported.files) % 2 == 0
    footers = [pq.read_metadata(path_of(url)) for url in exported.files]
    assert {(footer.num_row_groups, footer.num_rows) for footer in footers} == {(1, exported.group_rows)}
    table = pq.ParquetFile(path_of(exported.files[-1])).read().to_pandas()
    whole = np.concatenate([pq.ParquetFile(path_of(url)).read(["row"])["row"].to_numpy() for url in exported.files])
    assert whole.tolist() == list(range(exported.n_rows))
    is_padding = table["object_id"].str.startswith("padding")
    assert (table["weight"] == np.where(is_padding, 0.0, 1.0)).all()
    assert 0 <= exported.n_rows - exported.n_objects < len(exported.files)


def test_a_training_fold_of_an_odd_number_of_rows_is_padded(spark, place, exported):
    three = export(run_at(spark, place, "three", "training.processes=3"))
    assert len(three.files) % 3 == 0 and three.n_objects == exported.n_objects
    assert three.n_rows > three.n_objects or exported.n_rows > exported.n_objects or exported.n_objects % 6 == 0


def test_padding_for_a_network_over_points_has_none(spark, place):
    made = export(run_at(spark, place, "points", "training.network=transformer", "training.processes=5"))
    every = pd.concat([pq.ParquetFile(path_of(url)).read(["object_id", "points"]).to_pandas() for url in made.files])
    is_padding = every["object_id"].str.startswith("padding")
    points = np.stack(every["points"].to_numpy())
    assert is_padding.sum() == made.n_rows - made.n_objects > 0
    assert np.isnan(points[is_padding]).all()


def test_parts_share_their_parents_fold_and_no_object_is_lost_or_unlabelled(exported):
    folds = {fold: read_fold(exported, fold) for fold in ("train", "validation", "test")}
    parents = {fold: {name.partition("/")[0] for name in rows.object_id} for fold, rows in folds.items()}
    assert (
        not parents["train"] & parents["validation"]
        and not parents["train"] & parents["test"]
        and not parents["validation"] & parents["test"]
    )
    every = sorted(name for rows in folds.values() for name in rows.object_id)
    assert every == sorted(str(i) + part for i in range(N_PARENTS) for part in ("", "/w1"))
    assert len(parents["train"]) == exported.n_parents
    for rows in folds.values():
        assert np.isnan(rows.rows.values).any() and np.isfinite(rows.rows.grid_mean).all()


def test_the_same_versions_make_the_same_export_and_are_not_written_twice(spark, place, exported):
    before = [Path(path_of(url)).stat().st_mtime_ns for url in exported.files]
    assert export(run_at(spark, place, "models")) == exported
    assert [Path(path_of(url)).stat().st_mtime_ns for url in exported.files] == before
    again = export(run_at(spark, place, "elsewhere"))
    assert again.sha256 == exported.sha256 and again.directory != exported.directory


def test_two_shards_read_every_exported_id_once_in_every_epoch_and_in_another_order(exported):
    shards = exported.shards(2)
    with _training_process() as process:
        first, second, again = (process.submit(_ids, shards, epoch).result(timeout=300) for epoch in (0, 1, 0))
    assert sorted(first[0] + first[1]) == sorted(second[0] + second[1]) == list(range(exported.n_rows))
    assert first[0] != second[0] and sorted(first[0]) == sorted(second[0])
    assert first == again


@pytest.fixture(scope="module")
def model(spark, place):
    """Published by the job, with two ranks."""
    sets = [argument for value in (*places(place), *SMALL, f"training.publish_to={place / 'models'}") for argument in ("--set", value)]
    assert train_job.main(sets) == 0
    return published.load(published.find(str(place / "models"), rule_of("ztf").contract), rule_of("ztf").contract)


def test_one_process_with_both_shards_has_the_losses_of_two_processes(spark, place, exported, model):
    run = run_at(spark, place, "models")
    plan = planned(exported, read_fold(exported, "train"), run.settings.training)
    with _training_process() as process:
        twin = process.submit(_train_alone, plan, exported.shards(2)).result(timeout=300)
    assert model.manifest["training"]["losses"] == pytest.approx(twin.losses, rel=1e-5)


def test_the_manifest_says_what_it_was_trained_on_and_how_good_it_is(model, exported):
    told = model.manifest
    assert told["training"]["sha256"] == exported.sha256
    assert told["training"]["rows"] == exported.n_objects and told["training"]["objects"] == exported.n_parents
    assert "simulated" in told["training"]["data"]
    assert told["anomaly"]["objects"] == 25
    assert {"log_loss", "macro_f1", "ece"} <= set(told["metrics"]) <= set(told["metrics_baseline"])
    assert told["version"] == model.version and told["feature_set"] == FEATURE_SET


def test_the_models_table_points_to_the_directory(spark, place, model):
    row = Warehouse(spark, settings_at(place).warehouse).read(MODELS).where(f"model_version = '{model.version}'").first()
    assert Path(row["location"]) == place / "models" / model.version
    assert row["training_sha256"] == model.manifest["training"]["sha256"]
    assert row["metrics"]["log_loss"] == pytest.approx(model.manifest["metrics"]["log_loss"])


def test_mlflow_holds_the_run_with_the_loss_of_every_epoch(place, model):
    client = MlflowClient((place / "models" / "mlruns").as_uri())
    logged = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    of_model = [one for one in logged if one.data.tags["model_version"] == model.version]
    assert len(of_model) == 1 and of_model[0].data.params["epochs"] == "2"
    losses = client.get_metric_history(of_model[0].info.run_id, "loss")
    assert [one.value for one in losses] == pytest.approx(model.manifest["training"]["losses"])
    assert of_model[0].data.metrics["log_loss"] == pytest.approx(model.manifest["metrics"]["log_loss"])


@pytest.mark.cluster
def test_ranks_on_two_workers_of_a_cluster_make_the_same_model(model, place, tmp_path):
    """Exported anew, too: export and checkpoints lie beside the models. The row in `models` is the same version's, so it moves there."""
    with standalone.running(tmp_path / "cluster") as master:
        executors = f'spark.conf={{"spark.executor.memory": "1g", "spark.executor.extraJavaOptions": "{QUICK_START}"}}'
        sets = (*places(place), *SMALL, *SMALL_SESSION, f"spark.master={master}", executors, f"training.publish_to={tmp_path / 'models'}")
        flags = [argument for value in sets for argument in ("--set", value)]
        answer = subprocess.run([sys.executable, "-m", "deeprubin_spark.jobs.train", *flags], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    there = next((tmp_path / "models").glob("*/manifest.json")).parent
    for file in sorted((place / "models" / model.version).glob("*.safetensors")):
        assert (there / file.name).read_bytes() == file.read_bytes()
    assert json.loads((there / "manifest.json").read_text())["training"]["losses"] == model.manifest["training"]["losses"]


def test_ranks_joined_by_torch_alone_have_the_losses_of_horovods(spark, place, exported, model):
    run = run_at(spark, place, "models", "training.launcher=torch")
    plan = planned(exported, read_fold(exported, "train"), run.settings.training)
    trained = train_on_spark(plan, exported.shards(2), place / "by-torch", run.settings.training)
    assert model.manifest["training"]["losses"] == pytest.approx(trained.losses, rel=1e-5)


# Horovod's own thread in the driver sees its Spark job cancelled.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_that_lost_a_rank_in_an_epoch_ends_with_the_losses_of_one_that_did_not(spark, place, exported):
    run = run_at(spark, place, "models", "training.epochs=30")
    plan = planned(exported, read_fold(exported, "train"), run.settings.training)
    shards = exported.shards(2)
    checkpoints = place / "killed"
    killed: list[int] = []
    killer = threading.Thread(target=_kill_a_rank, args=(Checkpoints(checkpoints), killed), daemon=True)
    killer.start()
    finished = train_on_spark(plan, shards, checkpoints, run.settings.training)
    killer.join(timeout=10)
    assert killed, "no rank was found to kill"
    with _training_process() as process:
        twin = process.submit(_train_alone, plan, shards).result(timeout=300)
    assert len(finished.losses) == 30
    assert finished.losses == pytest.approx(twin.losses, rel=1e-5)


# Horovod's own thread in the driver sees its Spark job cancelled.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_two_slots_train_three_shards_to_the_losses_of_one_process(spark, place, capfd):
    run = run_at(spark, place, "three", "training.processes=3", "training.start_timeout_s=20")
    made = export(run)
    plan, slots = planned(made, read_fold(made, "train"), run.settings.training), spark.sparkContext.defaultParallelism
    assert plan.n_shards == 3 > slots
    trained = train_on_spark(plan, made.shards(3), place / "fewer", run.settings.training)
    told = capfd.readouterr().err
    assert f"Trying with {slots}" in told and "3 ranks did not start within 20 s" in told
    with _training_process() as process:
        twin = process.submit(_train_alone, plan, made.shards(3)).result(timeout=300)
    assert trained.losses == pytest.approx(twin.losses, rel=1e-5)


def test_the_forest_sees_each_real_object_once_and_never_the_excluded_night(spark, place):
    usual = usual_objects(run_at(spark, place, "models"))
    assert usual.rows.values.shape == (25, len(MODEL_FEATURES)) and len(set(usual.parent)) == 25
    everything = run_at(spark, place, "models", "training.anomaly_excluded_nights=[]")
    assert len(usual_objects(everything).rows) == 60


def test_too_few_real_objects_or_nothing_labelled_is_exit_66(spark, place, tmp_path):
    with pytest.raises(NoInputError, match="needs 20 objects of survey ztf"):
        usual_objects(run_at(spark, place, "models", "training.anomaly_excluded_nights=['2018-11-29','2019-07-01']"))
    with pytest.raises(NoInputError, match="run ingest_plasticc --survey plasticc_ztf first"):
        export(run_at(spark, tmp_path, "models"))
    with pytest.raises(NoInputError, match="no labelled features"):
        export(run_at(spark, place, "models", "training.label_source=nobody"))


def _training_process() -> ProcessPoolExecutor:
    """A process of its own: what Petastorm's compatibility code does to one cannot be undone."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _ids(shards: Shards, epoch: int) -> list[list[int]]:
    return [[int(row) for batch in shards.epoch(epoch, shard, 16, 1) for row in batch["row"]] for shard in range(shards.count)]


def _train_alone(plan: Plan, shards: Shards) -> Trained:
    return train(plan, Alone(), lambda epoch, shard: shards.epoch(epoch, shard, plan.batch_size, plan.seed), Checkpoints(None))


def _kill_a_rank(checkpoints: Checkpoints, killed: list[int]) -> None:
    """SIGKILL to one rank once two epochs are saved."""
    deadline = time.monotonic() + 300.0
    while checkpoints.epochs_done() < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or gone since
            if "horovod.spark.task.gloo_exec_fn" in process.cmdline():
                killed.append(process.pid)
                process.kill()
                return
