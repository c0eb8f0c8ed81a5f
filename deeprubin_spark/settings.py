"""Every setting, its type, its default and what it means. conf/*.yml only hold values.

Order, last wins: the defaults here < conf/base.yml < conf/<env>.yml < DEEPRUBIN_* environment variables < --set on the command line.
`DEEPRUBIN_CONF` names the directory of the YAML files; without it only the defaults here, the environment and --set count.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deeprubin_spark.errors import ConfigError

ENVIRONMENT_PREFIX = "DEEPRUBIN_"
# Variables with our prefix that are not settings: where settings come from, and what set-up and tests use.
_NOT_SETTINGS = {"CONF", "ENV", "JARS", "CACHE", "VENV"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WarehouseSettings(_Section):
    """Where the tables are."""

    path: str = Field("warehouse", description="Directory or object-store URI of the tables; ignored where `catalog` is set")
    catalog: str = Field(
        "", pattern=r"^(\w+(\.\w+)?)?$", description="Hive or Unity schema that holds the tables, e.g. main.deeprubin; empty: use `path`"
    )
    lock_timeout_s: float = Field(600.0, gt=0, description="[s] How long a commit waits for another driver's on a local warehouse")


# A batch ends within the hour: what is compiled a second time must be worth it (of a night of 100,000 alerts a third went into the compiler), and on
# few cores the collector need not run beside the tasks.
_BATCH_JVM = " ".join(
    (
        "-XX:+UseParallelGC",
        "-XX:Tier4InvocationThreshold=50000",
        "-XX:Tier4MinInvocationThreshold=6000",
        "-XX:Tier4CompileThreshold=150000",
        "-XX:Tier4BackEdgeThreshold=400000",
    )
)


class SparkSettings(_Section):
    """The session."""

    master: str = Field("", description="Spark master; empty: the one spark-submit gives, else local[*]")
    driver_memory: str = Field("2g", pattern=r"^\d+[mg]$", description="Heap of a driver that we start ourselves")
    jars: str = Field(
        "", description="Directory with the Delta, Avro and Kafka jars; empty: $DEEPRUBIN_JARS, else those `make setup` fetched"
    )
    shuffle_partitions: int = Field(4, ge=1, description="Partitions of a shuffle")
    arrow_batch_rows: int = Field(2000, ge=1, description="Rows per Arrow batch between the JVM and Python")
    java_options: str = Field(_BATCH_JVM, description="Options of the JVM of a driver that we start ourselves")
    conf: dict[str, str] = Field(default_factory=dict, description="More Spark configuration, passed on as it is")


class IngestSettings(_Section):
    """Archive to alerts."""

    archive: tuple[str, ...] = Field(("archive",), description="Archives, .avro files, or folders of either")
    programids: tuple[int, ...] = Field((1,), description="ZTF programmes kept: 1 public, 2 collaboration, 3 Caltech")
    max_bad_fraction: float = Field(0.01, ge=0, le=1, description="[1] Quarantined share of a night's packets above which the job fails")
    cutouts: Literal["drop", "keep"] = Field("drop", description="Whether image stamps are decoded and stored")


class LightCurveSettings(_Section):
    """Alerts to light curves."""

    apparent_flux_policy: Literal["alerce_corr", "alerce_ext", "quadrature"] = Field(
        "alerce_corr", description="How the error of source plus reference is computed"
    )
    min_rb: float = Field(0.55, ge=0, le=1, description="[1] Quality cut 'rb': points below it are marked")
    max_bad_pixels: int = Field(0, ge=0, description="[1] Quality cut 'nbad'")
    max_fwhm: float = Field(5.0, gt=0, description="[pix] Quality cut 'fwhm'")
    max_elongation: float = Field(1.2, ge=1, description="[1] Quality cut 'elong'")
    fold_after_nights: int = Field(30, ge=1, description="[d] Segments older than this are folded into the base")


class FeatureSettings(_Section):
    """Light curves to features."""

    max_failed_fraction: float = Field(0.2, ge=0, le=1, description="[1] Share of objects whose fit fails above which the job fails")
    period_memory_nights: int = Field(
        60, ge=0, description="[d] How far back a period found before is looked for instead of searched again; the result is the same"
    )


class ScoringSettings(_Section):
    """Features to scores and anomalies."""

    model: str = Field("", pattern=r"^[\w.\-]*$", description="Model version; empty: the newest published one")
    models_path: str = Field("", description="Directory of published models; empty: the one in the package")
    min_detections: int = Field(5, ge=2, description="[1] Fewer measurements than this are not classified")
    anomaly_min_detections: int = Field(3, ge=2, description="[1] Fewer measurements than this are not ranked as anomalies")
    min_drb: float = Field(0.5, ge=0, le=1, description="[1] Bogus gate where drb is known")
    min_rb: float = Field(0.55, ge=0, le=1, description="[1] Bogus gate where only rb is known")
    max_asteroid_distance: float = Field(5.0, gt=0, description="[arcsec] A known solar-system object this near explains the alert")


Launcher = Literal["horovod", "torch"]


class TrainingSettings(_Section):
    """The training run."""

    survey: str = Field("plasticc_ztf", pattern=r"^\w+$", description="Survey of the labelled light curves")
    label_source: str = Field("plasticc_truth", description="Source of the labels")
    windows_per_object: int = Field(3, ge=0, description="[1] Truncated copies made of each simulated light curve when it is ingested")
    min_detections: int = Field(3, ge=3, description="[1] Light curves with fewer measurements are not trained on")
    network: Literal["tcn", "transformer", "gru"] = Field(
        "tcn", description="Network: tcn over the grid; transformer or gru over the points, ten times slower"
    )
    epochs: int = Field(30, ge=1, description="[1] Passes over the training objects")
    batch_size: int = Field(64, ge=1, description="[1] Objects per step and rank")
    learning_rate: float = Field(3e-3, gt=0, description="[1] AdamW learning rate")
    seed: int = Field(1, ge=0, description="Seed of weights, folds and order")
    processes: int = Field(2, ge=1, description="[1] Ranks that train together")
    launcher: Launcher = Field(
        "horovod", description="What joins the ranks: horovod, or torch (TorchDistributor) where there is no Horovod"
    )
    start_timeout_s: int = Field(120, ge=1, description="[s] How long Horovod waits for its ranks")
    restarts: int = Field(2, ge=0, description="[1] How often a run that lost a rank is started again from its last checkpoint")
    anomaly_survey: str = Field("ztf", pattern=r"^\w+$", description="Survey whose objects the isolation forest takes for usual")
    anomaly_excluded_nights: tuple[str, ...] = Field(("2018-11-29",), description="Nights whose objects the isolation forest does not see")
    publish_to: str = Field("models", description="Directory that receives the published version")
    mlflow: str = Field("", description="MLflow tracking URI; empty: the folder mlruns beside the models; on Databricks: databricks")


class BrokerSettings(_Section):
    """ALeRCE's API."""

    url: str = Field("", description="Base URL; empty: the client's own default")
    timeout_s: float = Field(30.0, gt=0, description="[s] Per request")
    max_attempts: int = Field(5, ge=1, description="[1] Tries per request")
    backoff_s: float = Field(1.0, ge=0, description="[s] First wait between tries, doubled each time")
    requests_per_second: float = Field(5.0, gt=0, description="[1/s] Rate limit")
    page_size: int = Field(100, ge=1, le=1000, description="[1] Rows per page")


class ReportSettings(_Section):
    """The night's page."""

    path: str = Field("reports", description="Directory that receives the pages")
    n_anomalies: int = Field(20, ge=0, description="[1] Anomalies shown")


class Settings(_Section):
    """All settings of one run."""

    warehouse: WarehouseSettings = WarehouseSettings()
    spark: SparkSettings = SparkSettings()
    ingest: IngestSettings = IngestSettings()
    lightcurves: LightCurveSettings = LightCurveSettings()
    features: FeatureSettings = FeatureSettings()
    scoring: ScoringSettings = ScoringSettings()
    training: TrainingSettings = TrainingSettings()
    broker: BrokerSettings = BrokerSettings()
    report: ReportSettings = ReportSettings()

    def fingerprint(self) -> str:
        """SHA-256 of the resolved settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load(env: str = "", overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Settings:
    """Resolve the settings.

    env: name of a conf/<env>.yml, or ''.   overrides: 'section.key=value' strings, as given to --set.   environ: default os.environ.
    Raises ConfigError that names the setting, where it came from, what was expected and what was found.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    for source, values in _layers(env, overrides, environ):
        _merge(merged, values, source)
        try:
            Settings.model_validate(merged)
        except ValidationError as error:
            raise ConfigError(_explain(error, source)) from error
    return Settings.model_validate(merged)


def _layers(env: str, overrides: Sequence[str], environ: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    layers: list[tuple[str, dict[str, Any]]] = []
    directory = environ.get(f"{ENVIRONMENT_PREFIX}CONF", "")
    if env and not directory:
        raise ConfigError(f"--env {env}: set DEEPRUBIN_CONF to the directory that holds {env}.yml")
    if directory:
        names = ["base", env] if env else ["base"]
        layers += [(str(Path(directory) / f"{name}.yml"), _read_yaml(Path(directory) / f"{name}.yml")) for name in names]
    for name, value in sorted(environ.items()):
        path = name.removeprefix(ENVIRONMENT_PREFIX)
        if path != name and path not in _NOT_SETTINGS:
            layers.append((name, _nested(path.lower().split("__"), value)))
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: expected section.key=value")
        layers.append((f"--set {override}", _nested(path.strip().split("."), value)))
    return layers


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); DEEPRUBIN_CONF and --env say where settings are") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections of settings, found {type(values).__name__}")
    return values


def _nested(path: Sequence[str], text: str) -> dict[str, Any]:
    """{'a': {'b': value}} for path a.b; the value is read as YAML, so lists and numbers work."""
    try:
        value: Any = yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        value = text
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _merge(into: dict[str, Any], values: Mapping[str, Any], source: str) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value, source)
        elif isinstance(value, Mapping):
            into[key] = dict(value)
        elif isinstance(into.get(key), dict):
            raise ConfigError(f"{source}: {key} is a section, not a value")
        else:
            into[key] = value


def _explain(error: ValidationError, source: str) -> str:
    problems = []
    for detail in error.errors():
        name = ".".join(str(part) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            problems.append(f"{name}: no such setting; `deeprubin settings` lists them")
        else:
            problems.append(f"{name}: {detail['msg']}, found {detail['input']!r}")
    return f"{source}: " + "; ".join(problems)
