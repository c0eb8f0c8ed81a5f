"""Tonight's segments joined to earlier ones and to the base, beside Spark's own way: group, collect the lists, flatten.

Half of the known objects are touched. Each has 15 points tonight, a base row of 40, and one or two earlier segments of 15.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark.kernels.sky import healpix
from deeprubin_spark.preprocessing.history import light_curves, unfolded_nights, with_history
from deeprubin_spark.preprocessing.objects import KEY_FIELDS, by_object
from deeprubin_spark.schemas import FEATURES, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.tables import Warehouse
from tests.perf.clock import cheapest, process_tree_seconds
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_KNOWN, N_TOUCHED = 40_000, 20_000
NIGHT = dt.date(2018, 11, 29)
EARLIER = (dt.date(2018, 11, 20), dt.date(2018, 11, 26))
FOLDED = dt.date(2018, 11, 10)
FIELDS = tuple(dict.fromkeys((*KEY_FIELDS, *(c.name for c in FEATURES.column("points").fields))))
_CARRIED = ("survey", "ra", "dec", "rb_max")
_N_BASE, _N_SEGMENT = 40, 15
_ID_STEP = 1000


def join(place: Workplace) -> Measured:
    """All parts of an object side by side, without the rule that chooses among them."""
    segments, base = _tables(place)
    touched = segments.where(F.col("night") == F.lit(NIGHT))
    ours = cheapest(lambda: _consume(with_history(touched, segments, base, _CARRIED, FIELDS)), N_TOUCHED, process_tree_seconds)
    theirs = cheapest(lambda: _consume(_collected(touched, segments, base)), N_TOUCHED, process_tree_seconds)
    return Measured(ours, N_TOUCHED, theirs)


def join_and_rule(place: Workplace) -> Measured:
    """The same, and which points were known on the night, as the features' pass has them."""
    segments, base = _tables(place)
    touched = segments.where(F.col("night") == F.lit(NIGHT))
    unfolded = unfolded_nights(segments)

    def counted(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows, _, chosen = light_curves(batch, unfolded, FIELDS)
        return pa.record_batch({"objects": [len(rows)], "points": [len(chosen.rows)]})

    def work() -> None:
        joined = with_history(touched, segments, base, _CARRIED, FIELDS)
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
    """Segments and base in tables of the contract, written once."""
    warehouse = Warehouse(place.session.spark, place.session.settings.warehouse)
    if not warehouse.exists(LIGHTCURVE_BASE):
        known = _known_objects(place).withColumn("survey", F.lit("ztf"))
        base = known.withColumns({"last_night": F.lit(FOLDED), "points": _points(FOLDED, _N_BASE)})
        warehouse.replace_slice(LIGHTCURVE_BASE, _in_order(base, LIGHTCURVE_BASE), "bench", nights=None, survey="ztf")
        nights = [_segments(known.where(F.col("number") < N_TOUCHED), NIGHT)]
        nights += [_segments(known.where(F.col("number") % 2 == i), night) for i, night in enumerate(EARLIER)]
        for night, rows in zip((NIGHT, *EARLIER), nights, strict=True):
            warehouse.replace_slice(LIGHTCURVE_SEGMENTS, _in_order(rows, LIGHTCURVE_SEGMENTS), "bench", nights=[night], survey="ztf")
    return warehouse.read(LIGHTCURVE_SEGMENTS, survey="ztf"), warehouse.read(LIGHTCURVE_BASE, survey="ztf")


def _known_objects(place: Workplace) -> DataFrame:
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(100.0, 160.0, N_KNOWN), rng.uniform(0.0, 40.0, N_KNOWN)
    columns = {"number": np.arange(N_KNOWN), "ra": ra, "dec": dec, "healpix": healpix(ra, dec)}
    known = place.session.spark.createDataFrame(pa.table(columns).to_pandas())
    return known.withColumn("object_id", F.format_string("ZTF18b%07d", "number"))


def _segments(objects: DataFrame, night: dt.date) -> DataFrame:
    """Segments of a night."""
    nothing = {c.name: F.lit(None).cast(c.spark_type()) for c in LIGHTCURVE_SEGMENTS.columns if c.name not in objects.columns}
    return objects.withColumns(nothing | {"night": F.lit(night), "n_alerts": F.lit(1), "points": _points(night, _N_SEGMENT)})


def _points(night: dt.date, n: int):
    """The last `n` points known on a night, two days apart, flux and error jittered by a hash."""
    last = (night - dt.date(1858, 11, 17)).days
    unit = f"(xxhash64(number, i, {last}) & 65535) / 65536D"
    values = {
        "exposure_mjd": f"{last} - 2D * ({n} - i) + 0.3D",
        "mjd": f"{last} - 2D * ({n} - i) + 0.30017D",
        "band": "if(i % 2 = 0, 'g', 'r')",
        "kind": "'detection'",
        "source_id": f"number * {_ID_STEP}L + {last} - 2 * ({n} - i)",
        "packet_id": f"number * {_ID_STEP}L + {last}",
        "known_night": f"DATE'{night}'",
        "flux_njy": f"1e4 + 5e3 * {unit}",
        "flux_err_njy": f"2e3 + 1e3 * {unit}",
        "rb": f"cast({unit} AS float)",
    }
    fields = ", ".join(f"'{c.name}', cast({values.get(c.name, 'NULL')} AS {c.spark_type().simpleString()})" for c in POINT)
    return F.expr(f"transform(sequence(1, {n}), i -> named_struct({fields}))")


def _in_order(rows: DataFrame, table: Table) -> DataFrame:
    return table.select(rows.repartition(4).sortWithinPartitions("healpix"))


ROWS = (
    Row("history", "tonight's segments joined to their history", "object", join, "collect_list and flatten", None, 1.0),
    Row("history_and_rule", "the same, and the points known on the night chosen", "object", join_and_rule),
)
