"""Tables of other people's, as files."""

from __future__ import annotations

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError


def read_columns(session: SparkSession, path: str, columns: str) -> DataFrame:
    """The columns of Parquet or CSV (with a header) at `path` that `columns` names, in its types: "object_id long, mjd double".

    NoInputError where they cannot be had.
    """
    is_csv = path.endswith((".csv", ".csv.gz"))
    try:
        found = session.read.csv(path, header=True) if is_csv else session.read.parquet(path)
        wanted = [column.split() for column in columns.split(", ")]
        return found.select(*(F.col(name).cast(kind).alias(name) for name, kind in wanted))
    except AnalysisException as error:
        raise NoInputError(f"{path}: expected Parquet or CSV with the columns {columns}; {str(error).splitlines()[0]}") from error
