"""Tonight's segments joined to earlier ones and to the base, beside Spark's own way: group, collect the lists, flatten.

Half of the known objects are touched. Each has 15 points tonight, a base row of 40, and one or two earlier segments of 15.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark.kernels.sky import healpix
from deeprubin_spark.preprocessing.history import light_curves, unfolded_nights, with_history
from deeprubin_spark.preprocessing.objects import by_object
from deeprubin_spark.schemas import LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.schemas.packed_points import RECORD, point_columns
from tests.perf.clock import cheapest, process_tree_seconds
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_KNOWN, N_TOUCHED = 40_000, 20_000
NIGHT = dt.date(2018, 11, 29)
EARLIER = (dt.date(2018, 11, 20), dt.date(2018, 11, 26))
FOLDED = dt.date(2018, 11, 10)
FIELDS = RECORD.names
_CARRIED = ("survey", "ra", "dec", "rb_max")
_N_BASE, _N_SEGMENT = 40, 15
_ID_STEP = 100_000
_MJD_ZERO = dt.date(1858, 11, 17)
Numbers = NDArray[np.int64]


def join(place: Workplace) -> Measured:
    """All parts of an object side by side, without the rule that chooses among them."""
    segments, base = _tables(place)
    touched = segments.where(F.col("night") == F.lit(NIGHT))
    ours = cheapest(lambda: _consume(with_history(touched, segments, base, _CARRIED)), N_TOUCHED, process_tree_seconds)
    theirs = cheapest(lambda: _consume(_collected(touched, segments, base)), N_TOUCHED, process_tree_seconds)
    return Measured(ours, N_TOUCHED, theirs)


def join_and_rule(place: Workplace) -> Measured:
    """The same, and which points were known on the night, as the features' pass has them."""
    segments, base = _tables(place)
    touched = segments.where(F.col("night") == F.lit(NIGHT))
    unfolded = unfolded_nights(segments)

    def counted(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows, _, chosen = light_curves(batch, unfolded)
        return pa.record_batch({"objects": [len(rows)], "points": [len(chosen.rows)]})

    def work() -> None:
        joined = with_history(touched, segments, base, _CARRIED)
        found = joined.mapInArrow(by_object(counted, "object_id"), "objects long, points long").agg(F.sum("objects").alias("n")).first()
        assert found is not None and found["n"] == N_TOUCHED, found

    return Measured(cheapest(work, N_TOUCHED, process_tree_seconds), N_TOUCHED)


def _collected(touched: DataFrame, segments: DataFrame, base: DataFrame) -> DataFrame:
    """The points of each touched object from the same parts and fields, as SQL would have them."""
    record = F.expr(f"transform(points, p -> named_struct({', '.join(f'{name!r}, p.{name}' for name in FIELDS)}))").alias("points")
    parts = segments.select("object_id", record).unionByName(base.select("object_id", record))
    parts = parts.join(touched.select("object_id"), "object_id", "left_semi")
    points = parts.groupBy("object_id").agg(F.flatten(F.collect_list("points")).alias("points"))
    return touched.select("object_id", "night", *_CARRIED).join(points, "object_id")


def _consume(frame: DataFrame) -> None:
    frame.write.format("noop").mode("overwrite").save()


def _tables(place: Workplace) -> tuple[DataFrame, DataFrame]:
    """Segments and base in the contract's columns, sorted by healpix; written once."""
    folder = place.folder / "history"
    if not folder.exists():
        numbers = np.arange(N_KNOWN)
        _write(folder, LIGHTCURVE_BASE, numbers, FOLDED, _N_BASE)
        _write(folder, LIGHTCURVE_SEGMENTS, numbers[:N_TOUCHED], NIGHT, _N_SEGMENT)
        for i, night in enumerate(EARLIER):
            _write(folder, LIGHTCURVE_SEGMENTS, numbers[i::2], night, _N_SEGMENT)
    segments, base = (
        place.session.spark.read.schema(table.spark_schema()).parquet(str(folder / table.name))
        for table in (LIGHTCURVE_SEGMENTS, LIGHTCURVE_BASE)
    )
    return segments, base


def _write(folder: Path, table: Table, numbers: Numbers, night: dt.date, n: int) -> None:
    """A file of rows of these objects, each with the last `n` points known on the night, two days apart."""
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(100.0, 160.0, N_KNOWN)[numbers], rng.uniform(0.0, 40.0, N_KNOWN)[numbers]
    pixels = healpix(ra, dec)
    order = np.argsort(pixels)
    values = {
        "survey": ["ztf"] * len(numbers),
        "object_id": [f"ZTF18b{number:07d}" for number in numbers[order]],
        "night": [night] * len(numbers),
        "last_night": [night] * len(numbers),
        "ra": ra[order],
        "dec": dec[order],
        "healpix": pixels[order],
        "n_alerts": np.ones(len(numbers), np.int32),
        **_points(numbers[order], night, n),
    }
    schema = table.arrow_schema()
    columns = [pa.array(values[f.name], f.type) if f.name in values else pa.nulls(len(numbers), f.type) for f in schema]
    (folder / table.name).mkdir(parents=True, exist_ok=True)
    made = pa.table(columns, schema=schema)
    pq.write_table(made, folder / table.name / f"{night}.parquet", compression="zstd", row_group_size=5000)


def _points(numbers: Numbers, night: dt.date, n: int) -> dict[str, pa.Array]:
    """Detections of a hash's flux: no two alike, and the same one in every part that holds it."""
    number, day = np.repeat(numbers, n), np.tile(np.arange(-2 * (n - 1), 1, 2), len(numbers)) + (night - _MJD_ZERO).days
    jitter = np.modf(np.abs(np.sin(number * 12.9898 + day * 78.233)) * 43758.5453)[0]
    values = {
        "exposure_mjd": day + 0.3,
        "mjd": day + 0.30017,
        "band": np.where(day % 4 < 2, "g", "r"),
        "kind": np.full(len(day), "detection"),
        "source_id": number * _ID_STEP + day % _ID_STEP,
        "packet_id": number * _ID_STEP + day[-1] % _ID_STEP,
        "known_night": np.full(len(day), np.datetime64(night)),
        "flux_njy": 1e4 + 5e3 * jitter,
        "flux_err_njy": 2e3 + 1e3 * jitter,
        "rb": jitter.astype(np.float32),
    }
    column = LIGHTCURVE_BASE.column("points")
    record = column.arrow_type().value_type
    fields = {f.name: pa.array(values[f.name], f.type) if f.name in values else pa.nulls(len(day), f.type) for f in record}
    return point_columns(fields, np.arange(0, len(day) + 1, n), column)


ROWS = (
    Row("history", "tonight's segments joined to their history", "object", join, "collect_list and flatten", None, 1.0),
    Row("history_and_rule", "the same, and the points known on the night chosen", "object", join_and_rule),
)
