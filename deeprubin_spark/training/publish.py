"""From the warehouse to a published model: export, train, calibrate, measure, fit what is unusual, write the directory and its row in `models`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.sql import Window
from pyspark.sql import functions as F

from deeprubin_spark import __version__
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.feature_catalogue import FeatureSet
from deeprubin_spark.models import published
from deeprubin_spark.models.baseline import fitted_trees
from deeprubin_spark.models.calibrated import Calibration
from deeprubin_spark.models.feature_batches import rows_of, rows_read
from deeprubin_spark.models.forest import AnomalyForest
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows, FeatureScaler, model_features
from deeprubin_spark.models.laplace import LastLayerLaplace
from deeprubin_spark.models.losses import class_weights
from deeprubin_spark.models.networks import curves_for, restored, shape_of
from deeprubin_spark.models.novelty import Latents, Novelty
from deeprubin_spark.models.published import Parts, PublishedModel
from deeprubin_spark.models.trees import ClassTrees
from deeprubin_spark.models.uncertainty import softmax
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import MODELS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.surveys import is_simulated
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.settings import TrainingSettings
from deeprubin_spark.training.distributed import train_on_spark
from deeprubin_spark.training.export import Export, Fold, export, read_fold
from deeprubin_spark.training.loop import Plan, Trained
from deeprubin_spark.training.metrics import confusion, log_losses, metrics
from deeprubin_spark.training.tracking import track

MIN_ANOMALY_OBJECTS = 20
MIN_ANOMALY_DETECTIONS = 3
MAX_ANOMALY_OBJECTS = 20_000
POSTERIOR_SCALES = (1.0, 0.3, 0.1, 0.03, 0.01)  # [1] of the last layer's covariance; the validation fold chooses
TAKEN_BACK = (0.0, 0.5, 1.0)  # [1] of the logarithm of a class's weight; likewise
_BLOCK = 256

FloatArray = NDArray[np.float64]


def train_and_publish(run: Run) -> PublishedModel:
    """The whole way. NoInputError where the warehouse holds too little; RetryableError where ranks were lost too often."""
    settings = run.settings.training
    usual = usual_objects(run)  # first, because it fails early
    made = export(run)
    train = read_fold(made, "train")
    plan = planned(made, train, settings)
    shards = made.shards(settings.processes)
    place = Path(made.directory) / f"run-{_key(plan)}"
    trained = train_on_spark(plan, shards, place, settings)
    validation = read_fold(made, "validation")
    new = usual.without(train)
    forest = AnomalyForest.fit(new.rows.values, settings.seed)
    parts = finished(plan, trained, forest, train, validation, rule_of(settings.survey).feature_set)
    parts = dataclasses.replace(parts, novelty=fitted_novelty(published.assemble({}, parts), train, new.rows, settings.seed))
    told = manifest(made, plan, trained, settings, len(new.rows))
    told["training"]["object_ids"] = seen_objects(train, validation)
    told |= measured(published.assemble(told, parts), read_fold(made, "test"))
    model = published.save(Path(settings.publish_to).expanduser().resolve(), told, parts)
    run.model_version = model.version
    track(model, settings, run.run_id)
    run.merge_by_key(MODELS, run.session.createDataFrame([_models_row(model, settings)], MODELS.spark_schema()))
    run.counts.update(objects=made.n_objects, parents=made.n_parents, epochs=len(trained.losses), anomaly_objects=len(new.rows))
    return model


def planned(made: Export, train: Fold, settings: TrainingSettings) -> Plan:
    """What the ranks need to know: sizes, scaling and class weights of the training fold, and the settings."""
    return plan_of(train, made.n_rows, settings)


def plan_of(train: Fold, n_rows: int, settings: TrainingSettings) -> Plan:
    """The plan for a training fold that is read as so many rows, padding included."""
    counts = torch.from_numpy(np.bincount(train.target, minlength=len(CLASS_NAMES)))
    names = model_features(rule_of(settings.survey).feature_set)
    n_bands, n_steps = train.rows.grid_mean.shape[1:]
    return Plan(
        shape=shape_of(settings.network, len(names), len(CLASS_NAMES), n_bands),
        scaler=FeatureScaler.fit(train.rows.values, names),
        class_weight=class_weights(counts).float().numpy(),
        n_rows=n_rows,
        n_shards=settings.processes,
        n_steps=n_steps,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
    )


def finished(plan: Plan, trained: Trained, forest: AnomalyForest, train: Fold, validation: Fold, feature_set: FeatureSet) -> Parts:
    """The trained network and trees, what training objects leave open of its last layer, and what the validation fold says of the probabilities.

    Rare classes count for more in training. The bias of the last layers and the start of the trees take that back (Menon et al. 2021, arXiv:2007.07314), or
    half of it, or nothing: what learnt little of a class was not moved by its weight. That and the scale of the posterior are those of the lowest log-loss
    on half of the fold.
    """
    network = restored(plan.shape, trained.network)
    posterior = LastLayerLaplace.fit(_last_layer(network), _last_hidden(network, plan, train.rows), train.target)
    pattern = curves_for(plan.shape, plan.n_steps, plan.seed).pattern
    weight = plan.class_weight[train.target]
    trees = ClassTrees.of_fitted(fitted_trees(train.rows.values, train.target, weight, plan.seed), len(CLASS_NAMES))
    of_first_half = np.array([zlib.crc32(parent.encode()) % 2 == 0 for parent in _parents(validation)])
    tried = []
    for scale, taken_back in itertools.product(POSTERIOR_SCALES, TAKEN_BACK):
        last_layers, taken = posterior.drawn(published.N_DRAWS, plan.seed, scale).astype(np.float32), taken_back * _log_weight(plan)
        last_layers[:, :, -1] -= taken
        shares = _shares(plan, train, taken_back)
        nothing = Calibration(1.0, 1.0, np.zeros(0), np.ones(1), shares)
        parts = Parts(feature_set, network, trees.less(taken), plan.scaler, forest, pattern, last_layers, nothing)
        logits = published.assemble({}, parts).logits(validation.rows)
        found = Calibration.fit(logits.reshape(-1, *logits.shape[2:]), validation.target, of_first_half, shares)
        known = softmax(logits[:, :, of_first_half] / found.temperature).mean(axis=(0, 1))
        tried.append((log_losses(known, validation.target[of_first_half]).mean(), dataclasses.replace(parts, calibration=found)))
    return min(tried, key=lambda one: one[0])[1]


def _log_weight(plan: Plan) -> NDArray[np.float32]:
    """Logarithm of the weight of each class (C,); 0 for a class that never trained."""
    return np.log(plan.class_weight, out=np.zeros_like(plan.class_weight), where=plan.class_weight > 0.0)


def _shares(plan: Plan, train: Fold, taken_back: float) -> FloatArray:
    """Shares of the classes (C,) for which probabilities hold of which that much of the weight was taken back."""
    counted = np.bincount(train.target, minlength=len(CLASS_NAMES)) * np.exp((1.0 - taken_back) * _log_weight(plan).astype(np.float64))
    return np.asarray(counted / counted.sum())


def _last_layer(network: HybridNetwork[Any]) -> torch.nn.Linear:
    last = network.classes[-1]
    assert isinstance(last, torch.nn.Linear)
    return last


def _last_hidden(network: HybridNetwork[Any], plan: Plan, rows: FeatureRows) -> NDArray[np.float32]:
    """What the last layer reads of each light curve, moved along the noise pattern, (N, H)."""
    curves, made = curves_for(plan.shape, plan.n_steps, plan.seed), []
    with torch.inference_mode():
        for start in range(0, len(rows), _BLOCK):
            block = rows.take(slice(start, start + _BLOCK))
            features = torch.from_numpy(plan.scaler.scaled(block.values))
            made.append(network.last_hidden(network.joined(curves.drawn(block)[0], features)[0]).numpy())
    return np.concatenate(made)


def _parents(fold: Fold) -> list[str]:
    return [name.partition("/")[0] for name in fold.object_id]


def seen_objects(train: Fold, validation: Fold) -> list[str]:
    """Ids of the objects whose light curves, whole or in parts, trained or calibrated the model: judging it by them would flatter it."""
    return sorted({*_parents(train), *_parents(validation)})


def manifest(made: Export, plan: Plan, trained: Trained, settings: TrainingSettings, n_usual: int) -> dict[str, Any]:
    """Where the model comes from."""
    return {
        "published_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "code_version": __version__,
        "contract_version": rule_of(settings.survey).table.version,
        "training": {
            "data": f"survey {settings.survey}, labels {settings.label_source}: simulated light curves"
            if is_simulated(settings.survey)
            else settings.survey,
            "sha256": made.sha256,
            "features_version": made.features_version,
            "labels_version": made.labels_version,
            "rows": made.n_objects,
            "objects": made.n_parents,
            "folds": "70 : 15 : 15 % by hash of the parent object",
            "settings": settings.model_dump(mode="json", exclude={"publish_to", "start_timeout_s", "restarts", "launcher", "mlflow"}),
            "class_weight": dict(zip(CLASS_NAMES, (round(float(w), 6) for w in plan.class_weight), strict=True)),
            "losses": [round(loss, 8) for loss in trained.losses],
        },
        "anomaly": {"data": f"survey {settings.anomaly_survey} without {', '.join(settings.anomaly_excluded_nights)}", "objects": n_usual},
    }


def measured(model: PublishedModel, test: Fold) -> dict[str, Any]:
    """Metrics on the test fold, of the model by the very code that scores a night, and of its trees alone; and how often it would abstain."""
    probabilities, trees = model.predict(test.rows).probabilities, np.exp(model.parts.trees.log_probabilities(test.rows.values))
    whole = np.array(["/" not in name for name in test.object_id])
    return {
        "metrics": metrics(probabilities, test.target, CLASS_NAMES),
        "metrics_whole_light_curves": metrics(probabilities[whole], test.target[whole], CLASS_NAMES),
        "metrics_baseline": {"kind": "scikit-learn HistGradientBoosting on the same features"} | metrics(trees, test.target, CLASS_NAMES),
        "confusion": {
            "rows": "true class",
            "columns": "most probable class",
            "counts": confusion(probabilities, test.target).tolist(),
        },
        "outside_range_of_test_fold": float(model.outside_training_range(test.rows.values).mean()),
    }


class Usual(NamedTuple):
    """Objects among which an anomaly is rare: what a model reads of each, and the object (N,) that each is, or is a part of."""

    rows: FeatureRows
    parent: list[str]

    def without(self, train: Fold) -> Usual:
        """Those that did not train."""
        trained = set(_parents(train))
        kept = np.array([parent not in trained for parent in self.parent])
        return Usual(self.rows.take(np.flatnonzero(kept)), [parent for parent in self.parent if parent not in trained])


def usual_objects(run: Run) -> Usual:
    """Each object's latest night in `training.anomaly_survey` outside `training.anomaly_excluded_nights`.

    In the order of a hash of the object_id, the first 20,000 of them: a tree of the forest looks at 256.

    NoInputError for fewer than 20 objects with 3 detections.
    """
    training = run.settings.training
    survey, excluded = training.anomaly_survey, list(training.anomaly_excluded_nights)
    rule = rule_of(training.survey)
    rows = run.read(rule.table, survey=survey).where(
        ~F.col("night").cast("string").isin(excluded)
        & (F.col("feature_set") == rule.feature_set.name)
        & (F.col("status") == "ok")
        & (F.col("n_detections") >= MIN_ANOMALY_DETECTIONS)
    )
    latest = Window.partitionBy("object_id").orderBy(F.desc("night"))
    one_each = rows.withColumn("age", F.row_number().over(latest)).where("age = 1")
    # Bounded by MAX_ANOMALY_OBJECTS.
    chosen = one_each.sort(F.xxhash64("object_id"), "object_id").limit(MAX_ANOMALY_OBJECTS)
    wanted = rows_read(rule.feature_set, training.network)
    batch = chosen.select("object_id", *wanted).toArrow().combine_chunks()
    if batch.num_rows < MIN_ANOMALY_OBJECTS:
        raise NoInputError(
            f"training: the isolation forest needs {MIN_ANOMALY_OBJECTS} objects of survey {survey} with {MIN_ANOMALY_DETECTIONS} detections "
            f"outside the nights {', '.join(excluded)}, found {batch.num_rows}; ingest more nights, up to extract_features, or change "
            "training.anomaly_excluded_nights"
        )
    found = rows_of(batch.to_batches()[0], rule.feature_set, training.network)
    return Usual(found, [name.partition("/")[0] for name in batch["object_id"].to_pylist()])


def fitted_novelty(model: PublishedModel, train: Fold, usual: FeatureRows, seed: int) -> Novelty:
    """What the objects that trained look like to the model, whole light curves alone, and how unusual those are that did not train."""
    whole = np.array(["/" not in name for name in train.object_id])
    known = train.rows.take(np.flatnonzero(whole))
    latents = Latents.fit(model.judge(known).hidden, train.target[whole], train.object_id[whole], seed)
    return Novelty.fit(latents, model.seen(model.judge(usual), usual.values, latents).components)


def _models_row(model: PublishedModel, settings: TrainingSettings) -> tuple[Any, ...]:
    told = model.manifest
    row = {
        "model_version": model.version,
        "published_at": dt.datetime.fromisoformat(told["published_at"]),
        "location": str(Path(settings.publish_to).expanduser().resolve() / model.version),
        "contract_version": told["contract_version"],
        "feature_set": told["feature_set"],
        "code_version": told["code_version"],
        "training_data": told["training"]["data"],
        "training_sha256": told["training"]["sha256"],
        "n_training_objects": told["training"]["objects"],
        "metrics": told["metrics"],
        "manifest": json.dumps(told, sort_keys=True),
    }
    return tuple(row[name] for name in MODELS.names)


def _key(plan: Plan) -> str:
    """Checkpoints of another plan are not ours."""
    told = (plan.shape.as_dict(), plan.n_shards, plan.epochs, plan.batch_size, plan.learning_rate, plan.seed, plan.class_weight.tolist())
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
