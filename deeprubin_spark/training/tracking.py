"""A training run in MLflow, beside its rows in `runs` and `models`: settings, loss of every epoch, metrics of the test fold. The only file that touches it."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow

from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.settings import TrainingSettings

EXPERIMENT = "deeprubin-train"


def track(model: PublishedModel, settings: TrainingSettings, run_id: str) -> str:
    """Log a published model to `training.mlflow`, by default the folder mlruns beside the models; returns MLflow's id of the run."""
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow 3 asks for a yes; without a server there is nothing else
    mlflow.set_tracking_uri(settings.mlflow or (Path(settings.publish_to).expanduser().resolve() / "mlruns").as_uri())
    mlflow.set_experiment(EXPERIMENT)
    told = model.manifest
    with mlflow.start_run(run_name=model.version, tags={"model_version": model.version, "run_id": run_id}) as logged:
        mlflow.log_params({**told["training"]["settings"], "network": told["network"], "training_sha256": told["training"]["sha256"]})
        for epoch, loss in enumerate(told["training"]["losses"], 1):
            mlflow.log_metric("loss", loss, step=epoch)
        mlflow.log_metrics(
            {**told["metrics"], **{f"baseline_{name}": value for name, value in told["metrics_baseline"].items() if name != "kind"}}
        )
    return str(logged.info.run_id)
