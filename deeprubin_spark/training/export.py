"""The training set as plain Parquet: a pinned version of features and labels, in row groups of one size that ranks can share out evenly.

Shards of Petastorm are whole row groups, and an allreduce needs as many batches from every rank. So the training fold is written as files of one row
group each, all of `group_rows` rows, their number a multiple of the ranks; the last rows may be padding, of weight 0.

    DIRECTORY/train/group-00000.parquet ...   DIRECTORY/validation   DIRECTORY/test   DIRECTORY/export.json, written last
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.errors import DataGateError, NoInputError
from deeprubin_spark.models.feature_batches import POINTS, points_matrix
from deeprubin_spark.models.inputs import FeatureRows, model_features
from deeprubin_spark.models.networks import reads_points
from deeprubin_spark.models.points import N_MATRIX
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.schemas.features import GRID_COLUMNS, Rule, rule_of
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.settings import TrainingSettings
from deeprubin_spark.training.reader import Shards

GROUP_ROWS = 256  # about half a megabyte
FOLD_PERCENT = {"train": 70, "validation": 15, "test": 15}
_N_STEPS = 64
_PLAIN = ("row", "label", "weight")
_FORM = 2  # of what is written: an export of another form is not looked at
_PADDING = {POINTS: float("nan")}  # no points; of all other lists 0
_DONE = "export.json"


@dataclass(frozen=True)
class Export:
    """A complete export. `files`: file URLs of the training fold in order, one row group each; `columns`: what a rank reads;
    `sha256`: over the values of all folds.
    """

    directory: str
    files: tuple[str, ...]
    group_rows: int
    n_objects: int
    n_parents: int
    columns: tuple[str, ...]
    features_version: int
    labels_version: int
    sha256: str

    @property
    def n_rows(self) -> int:
        """[1] Rows of the training fold, padding included."""
        return self.group_rows * len(self.files)

    def shards(self, count: int) -> Shards:
        """The training fold, shared out."""
        return Shards(self.files, self.group_rows, count, self.columns)


@dataclass(frozen=True)
class Fold:
    """The objects of a fold in memory: rows, target (N,) int64 position in the taxonomy, object_id (N,); no padding."""

    rows: FeatureRows
    target: NDArray[np.int64]
    object_id: NDArray[np.str_]


def export(run: Run) -> Export:
    """Write the training set of the current versions of features and labels, unless it has been written already.

    NoInputError where nothing is labelled; DataGateError where the files are not as promised.
    """
    settings = run.settings.training
    rule = rule_of(settings.survey)
    versions = {table.name: run.warehouse.version(table) for table in (rule.table, LABELS) if run.warehouse.exists(table)}
    if len(versions) < 2:
        raise NoInputError(
            f"training: expected tables {rule.table.name} and labels in the warehouse, found {sorted(versions) or 'neither'}; "
            "run ingest_plasticc --survey plasticc_ztf first"
        )
    run.inputs.update(versions)
    directory = _directory(settings, versions, rule)
    if (directory / _DONE).is_file():
        told = json.loads((directory / _DONE).read_text())
        return Export(**{**told, "files": tuple(told["files"]), "columns": tuple(told["columns"])})
    rows = labelled_rows(_pinned(run, rule.table, versions), _pinned(run, LABELS, versions), settings).localCheckpoint()
    counts = {  # one row a fold: bounded
        row["fold"]: (row["n"], row["parents"])
        for row in rows.groupBy("fold").agg(F.count("*").alias("n"), F.countDistinct("parent").alias("parents")).collect()
    }
    if empty := [fold for fold in FOLD_PERCENT if fold not in counts]:
        raise NoInputError(
            f"training: no labelled features of survey {settings.survey!r} with {settings.min_detections} detections in fold {', '.join(empty)}; "
            f"ingest that survey and run extract_features --survey {settings.survey} first"
        )
    for fold in ("validation", "test"):
        _write(rows.where(F.col("fold") == fold).withColumn("row", F.xxhash64("object_id")).coalesce(1).sort("row"), directory / fold)
    n_objects, n_parents = counts["train"]
    n_groups = settings.processes * math.ceil(n_objects / (settings.processes * GROUP_ROWS))
    group_rows = math.ceil(n_objects / n_groups)
    sizes = _sizes(rule, settings)
    _write_groups(rows.where(F.col("fold") == "train"), directory / "train", n_objects, n_groups, sizes)
    files = _checked_files(directory / "train", n_groups, group_rows)
    made = Export(
        directory=str(directory),
        files=tuple(files),
        group_rows=group_rows,
        n_objects=n_objects,
        n_parents=n_parents,
        columns=(*_PLAIN, *sizes),
        features_version=versions[rule.table.name],
        labels_version=versions[LABELS.name],
        sha256=_sha256(directory),
    )
    write_last(directory / _DONE, json.dumps(asdict(made), indent=1))
    return made


def labelled_rows(features: DataFrame, labels: DataFrame, settings: TrainingSettings) -> DataFrame:
    """object_id, parent, fold, label and what networks read, of the objects with a class and enough measurements.

    fold: by the hash of seed and parent, what stands before '/' in object_id, so parts of one light curve share a fold. label: position in the taxonomy.
    """
    rule = rule_of(settings.survey)
    feature_set, sizes = rule.feature_set, _sizes(rule, settings)
    class_index = F.create_map(*(F.lit(value) for i, name in enumerate(CLASS_NAMES) for value in (name, i)))
    known = labels.where((F.col("survey") == settings.survey) & (F.col("source") == settings.label_source))
    truth = (
        known.groupBy(F.col("object_id").alias("parent"))
        .agg(F.max_by("class", "labelled_on").alias("class"))
        .where(F.col("class").isNotNull())
    )
    usable = features.where(
        (F.col("survey") == settings.survey)
        & (F.col("feature_set") == feature_set.name)
        & (F.col("status") == "ok")
        & (F.col("n_detections") >= settings.min_detections)
    )
    values = [F.coalesce(F.col(name), F.lit(float("nan")).cast("float")) for name in model_features(feature_set)]
    parent = F.split_part("object_id", F.lit("/"), F.lit(1))
    percent = F.pmod(F.xxhash64(F.lit(settings.seed), "parent"), F.lit(100))
    train, validation = FOLD_PERCENT["train"], FOLD_PERCENT["train"] + FOLD_PERCENT["validation"]
    inputs = usable.select("object_id", parent.alias("parent"), F.array(*values).alias("features"), *list(sizes)[1:])
    lists = ", ".join(f"{name} array<float>" for name in sizes)
    return (
        inputs.mapInArrow(_with_lists, f"object_id string, parent string, {lists}")
        .join(F.broadcast(truth), "parent")
        .withColumn("label", F.element_at(class_index, F.col("class")).cast("int"))
        .withColumn("fold", F.when(percent < train, "train").when(percent < validation, "validation").otherwise("test"))
        .withColumn("weight", F.lit(1.0).cast("float"))
    )


def _with_lists(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The grids and points of `features` as lists, which Petastorm reads."""
    for batch in batches:
        names = [name for name in (*GRID_COLUMNS, POINTS) if name in batch.schema.names]
        made = {name: points_matrix(batch.column(name)) if name == POINTS else arrow.matrix_in(batch.column(name)) for name in names}
        columns = {name: arrow.lists(pa.array(rows.ravel()), np.arange(len(rows) + 1) * rows.shape[1]) for name, rows in made.items()}
        whole = {name: batch.column(name) for name in batch.schema.names} | columns
        yield pa.RecordBatch.from_arrays(list(whole.values()), names=list(whole))


def read_fold(made: Export, fold: str) -> Fold:
    """A fold as arrays, in the order of `row`. The training fold must fit into memory: scaling and the baseline need it at once."""
    files = [_local(url) for url in made.files] if fold == "train" else sorted(Path(made.directory, fold).glob("*.parquet"))
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    table = table.filter(pc.greater(table["weight"], 0.0)).sort_by("row")
    lists = {name: np.stack(table[name].to_numpy()) for name in made.columns if name not in _PLAIN}
    return Fold(feature_rows(lists), table["label"].to_numpy().astype(np.int64), table["object_id"].to_numpy().astype(str))


def feature_rows(lists: dict[str, NDArray[np.float32]]) -> FeatureRows:
    """`FeatureRows` of exported lists: grid_mean and grid_sd hold one band after the other."""
    n_rows, n_steps = lists["grid_time"].shape
    bands = {name: lists[name].reshape(n_rows, -1, n_steps) for name in ("grid_mean", "grid_sd")}
    return FeatureRows(lists["features"], lists["grid_time"], bands["grid_mean"], bands["grid_sd"], lists.get(POINTS))


def _sizes(rule: Rule, settings: TrainingSettings) -> dict[str, int]:
    """Lengths of the exported lists, features first."""
    n_grid = len(rule.feature_set.bands) * _N_STEPS
    sizes = {"features": len(model_features(rule.feature_set)), "grid_time": _N_STEPS, "grid_mean": n_grid, "grid_sd": n_grid}
    return {**sizes, POINTS: N_MATRIX} if reads_points(settings.network) else sizes


def _directory(settings: TrainingSettings, versions: dict[str, int], rule: Rule) -> Path:
    """A place of its own for every set of versions and settings that change what is written."""
    what = (
        {
            "versions": versions,
            "features": model_features(rule.feature_set),
            "set": rule.feature_set.name,
            "classes": CLASS_NAMES,
            "group": GROUP_ROWS,
        }
        | settings.model_dump(include={"survey", "label_source", "min_detections", "seed", "processes"})
        | {"points": reads_points(settings.network), "form": _FORM}
    )
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    return Path(settings.publish_to).expanduser().resolve() / ".training" / key


def _pinned(run: Run, table: Table, versions: dict[str, int]) -> DataFrame:
    return table.select(run.session.read.option("versionAsOf", versions[table.name]).table(run.warehouse.identifier(table)))


def _write(rows: DataFrame, place: Path) -> None:
    rows.drop("parent", "fold", "class").write.mode("overwrite").parquet(place.as_uri())


def _write_groups(rows: DataFrame, place: Path, n_objects: int, n_groups: int, sizes: dict[str, int]) -> None:
    """The training fold in an order that depends on the object ids alone, then padding, as many rows in each file. sizes: of the lists."""
    group_rows = math.ceil(n_objects / n_groups)
    by_hash = Window.orderBy(F.xxhash64("object_id"), "object_id")
    numbered = rows.select("object_id").withColumn("row", F.row_number().over(by_hash).cast("long") - 1)  # ids only go through one task
    padding = rows.sparkSession.range(n_objects, n_groups * group_rows).select(
        F.concat(F.lit("padding-"), F.col("id")).alias("object_id"),
        F.col("id").alias("row"),
        F.lit(0).cast("int").alias("label"),
        F.lit(0.0).cast("float").alias("weight"),
        *(F.array_repeat(F.lit(_PADDING.get(name, 0.0)).cast("float"), size).alias(name) for name, size in sizes.items()),
    )
    every = rows.join(numbered, "object_id").select("object_id", *_PLAIN, *sizes).unionByName(padding)
    grouped = (
        every.withColumn("part", F.floor(F.col("row") / group_rows).cast("int"))
        .repartition(n_groups, "part")
        .sortWithinPartitions("part", "row")
    )
    grouped.write.mode("overwrite").partitionBy("part").parquet(place.as_uri())


def _checked_files(place: Path, n_groups: int, group_rows: int) -> list[str]:
    """Files group-00000.parquet, ... made of Spark's part=0/..., as URLs. DataGateError unless each is one row group of `group_rows` rows."""
    for written in place.glob("part=*/*.parquet"):
        written.rename(place / f"group-{int(written.parent.name.removeprefix('part=')):05d}.parquet")
    for folder in place.glob("part=*"):
        shutil.rmtree(folder)
    files = sorted(place.glob("group-*.parquet"))
    found = [[footer.row_group(i).num_rows for i in range(footer.num_row_groups)] for footer in map(pq.read_metadata, files)]
    if found != [[group_rows]] * n_groups:
        raise DataGateError(
            f"{place}: expected {n_groups} files of one row group of {group_rows} rows, found row groups {found}; remove the directory and train again"
        )
    return [f"file://{file}" for file in files]  # not quoted: Petastorm takes the path as it stands there


def _sha256(directory: Path) -> str:
    """Over the values in all Parquet files, fold after fold, file after file, column after column.

    Not over the files' bytes: Spark's writer lists encodings in the footer in no fixed order, and names hold a random part.
    """
    digest = hashlib.sha256()
    for fold in FOLD_PERCENT:
        for file in sorted((directory / fold).glob("*.parquet")):
            table = pq.ParquetFile(file).read()
            for name in sorted(table.column_names):
                digest.update(name.encode())
                digest.update(_value_bytes(table[name].combine_chunks()))
    return digest.hexdigest()


def _value_bytes(column: pa.Array) -> bytes:
    """The values of a column of numbers, strings, or lists of numbers of one length."""
    if pa.types.is_string(column.type):
        return "\n".join(column.to_pylist()).encode()
    flat = column.flatten() if pa.types.is_list(column.type) else column
    return flat.to_numpy(zero_copy_only=False).tobytes()


def write_last(path: Path, text: str) -> None:
    """The whole text or nothing: what tells that everything before it is there."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def _local(url: str) -> Path:
    return Path(url.removeprefix("file://"))
