"""Tables of other people's, as files: one of known name, or one of a folder that is known by its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError

TABLES = "*.{parquet,csv,csv.gz}"
_CSV = (".csv", ".csv.gz")

Place = str | list[str]  # a folder, or files


def read_columns(session: SparkSession, path: str, columns: str, optional: str = "") -> DataFrame:
    """The columns of Parquet or CSV (with a header) at `path` that `columns` names, in its types: "object_id long, mjd double".

    A column of `optional` that is not there is NULL. NoInputError where the others cannot be had.
    """
    try:
        return _chosen(_frame(session, [path]), columns, optional)
    except AnalysisException as error:
        raise NoInputError(f"{path}: expected Parquet or CSV with the columns {columns}; {str(error).splitlines()[0]}") from error


def read_table_of(session: SparkSession, folder: Place, columns: str, optional: str = "") -> DataFrame:
    """`read_columns` of the table in a folder that has these columns, in however many files; others are not read.

    NoInputError where no file of the folder has them.
    """
    wanted = names(columns)
    found: dict[bool, list[str]] = {}
    for file in files_in(session, folder, TABLES):
        if wanted <= set(_frame(session, [file]).columns):
            found.setdefault(file.endswith(_CSV), []).append(file)
    if not found:
        raise NoInputError(f"{folder}: expected a folder with Parquet or CSV that has the columns {columns}, found none")
    parts = [_chosen(_frame(session, files), columns, optional) for _, files in sorted(found.items())]
    return parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])


def has_table_of(session: SparkSession, folder: Place, columns: str) -> bool:
    """Whether a file of the folder has these columns."""
    wanted = names(columns)
    return any(wanted <= set(_frame(session, [file]).columns) for file in files_in(session, folder, TABLES))


def columns_at(session: SparkSession, path: str) -> set[str]:
    """Names of the columns of Parquet or CSV at `path`. NoInputError where there is none."""
    try:
        return set(_frame(session, [path]).columns)
    except AnalysisException as error:
        raise NoInputError(f"{path}: expected Parquet or CSV; {str(error).splitlines()[0]}") from error


def columns_of_files(session: SparkSession, folder: Place) -> dict[str, list[str]]:
    """The names of the columns of each Parquet and CSV file at a place, by URL."""
    return {file: _frame(session, [file]).columns for file in files_in(session, folder, TABLES)}


def sha256_of_files(session: SparkSession, folder: Place, pattern: str) -> str:
    """One SHA-256 over those of all files at a place that match the pattern, in the order of their URLs; hashed where they are read."""
    files = session.read.format("binaryFile").option("pathGlobFilter", pattern).option("recursiveFileLookup", "true")
    each = (
        files.load(folder).select("path", F.sha2("content", 256).alias("sha256")).sort("path").toArrow()["sha256"]
    )  # one row a file: bounded
    return hashlib.sha256("\n".join(each.to_pylist()).encode()).hexdigest()


def names(columns: str) -> set[str]:
    """The names in "object_id long, mjd double"."""
    return {name for name, _ in _typed(columns)}


def files_in(session: SparkSession, folder: Place, pattern: str) -> list[str]:
    """URLs of the files below a folder, on any file system Spark knows, that match the pattern, in order. NoInputError where there is no such folder."""
    try:
        listed = session.read.format("binaryFile").option("pathGlobFilter", pattern).option("recursiveFileLookup", "true").load(folder)
        return sorted(row["path"] for row in listed.select("path").collect())  # one row a file, of which nothing is read: bounded
    except AnalysisException as error:
        raise NoInputError(f"{folder}: expected a folder with files {pattern}; {str(error).splitlines()[0]}") from error


def _frame(session: SparkSession, files: Sequence[str]) -> DataFrame:
    is_csv = all(file.endswith(_CSV) for file in files)
    return session.read.csv(list(files), header=True) if is_csv else session.read.parquet(*files)


def _chosen(found: DataFrame, columns: str, optional: str) -> DataFrame:
    there = set(found.columns)
    needed = (F.col(name).cast(kind).alias(name) for name, kind in _typed(columns))
    others = ((F.col(name) if name in there else F.lit(None)).cast(kind).alias(name) for name, kind in _typed(optional))
    return found.select(*needed, *others)


def _typed(columns: str) -> list[tuple[str, str]]:
    pairs = (column.partition(" ") for column in columns.split(", ") if column)
    return [(name, kind) for name, _, kind in pairs]
