"""What a running survey's earlier nights leave for a replayed one: a row of features of each known object, with the period it was given.

A night searches the period of an object only when its points became clearly more, and else takes that of an earlier row (`due_periods.py`). A
replayed history without such rows would have every period sought on its first night. From how many points a period was found follows from the
light curve; the period itself is drawn, not found, and all other columns are NULL.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.ingestion import replay_sky
from deeprubin_spark.ingestion.replay_sky import IntArray, Sky
from deeprubin_spark.kernels import counter_random as random
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.light_curves import offsets_of_chosen
from deeprubin_spark.kernels.measurements import DETECTION, KINDS, LIMIT
from deeprubin_spark.kernels.nights import MJD_ZERO_DATE
from deeprubin_spark.kernels.period_gate import due_nights
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import FEATURES, LIGHTCURVE_BASE
from deeprubin_spark.schemas.features import FEATURE_SET

_READ = ("survey", "object_id", "ra", "dec", "points.kind", "points.known_night")
_UNIX_EPOCH = np.datetime64("1970-01-01")
_PERIOD_FEATURES = tuple(feature for feature in ZTF_GR.features if feature.group == "period")
_SHORTEST, _DECADES = 0.1, 3.0  # [d] and as a power of ten: periods that are drawn


def write(run: Run, on: Sky) -> None:
    """Replace `features` of the last night of each of the survey's three parts of the sky by a row for each object of lightcurve_base in it."""
    base = run.warehouse.read(LIGHTCURVE_BASE, survey=run.survey).select(*(F.col(name).alias(name.rpartition(".")[2]) for name in _READ))
    nights = tuple(on.first_night - dt.timedelta(days=i) for i in range(replay_sky.CADENCE, 0, -1))
    first_day = int((nights[0] - dt.date(1970, 1, 1)).days)

    def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield feature_rows(on, batch, first_day)

    run.replace_slice(FEATURES, base.mapInArrow(rows, FEATURES.spark_schema()), nights=nights, survey=run.survey, feature_set=FEATURE_SET)


def feature_rows(on: Sky, base: pa.RecordBatch, first_day: int) -> pa.RecordBatch:
    """`features` rows of lightcurve_base rows, of the night from `first_day` (days since 1970) on that observes each object."""
    night = _observed(base, first_day)
    kind = arrow.codes(base.column("kind").flatten(), KINDS)
    known_day = arrow.days(base.column("known_night").flatten())
    offsets = arrow.offsets(base.column("kind"))
    seen = offsets_of_chosen(kind == DETECTION, offsets)
    _, n_known = due_nights(seen, known_day[kind == DETECTION], first_day + replay_sky.CADENCE)
    limits = offsets_of_chosen(kind == LIMIT, offsets)
    columns = {name: base.column(name) for name in ("survey", "object_id", "ra", "dec")} | {
        "night": pa.array(night.astype(np.int32)).cast(pa.date32()),
        "feature_set": pa.array([FEATURE_SET] * base.num_rows, pa.string()),
        "status": pa.array(["ok"] * base.num_rows, pa.string()),
        "n_detections": pa.array(np.diff(seen), pa.int32()),
        "n_limits": pa.array(np.diff(limits), pa.int32()),
        **_periods(on, base, n_known),
    }
    return arrow.rows_of(columns, FEATURES.arrow_schema(), base.num_rows)


def _observed(base: pa.RecordBatch, first_day: int) -> IntArray:
    """(B,) the one of the three days from `first_day` (since 1970) on that observes the object's third of the sky."""
    third = (arrow.floats(base.column("ra")) // (360.0 / replay_sky.CADENCE)).astype(np.int64)
    first_mjd = first_day + int((_UNIX_EPOCH - MJD_ZERO_DATE).astype(np.int64))
    return np.asarray(first_day + (third - first_mjd) % replay_sky.CADENCE, np.int64)


def _periods(on: Sky, base: pa.RecordBatch, n_known: IntArray) -> dict[str, pa.Array]:
    """The block of the period: NULL for an object that has never had enough points."""
    own = random.keys(on.seed, arrow.floats(base.column("ra")).view(np.uint64))
    columns = {}
    for i, feature in enumerate(_PERIOD_FEATURES):
        drawn = random.uniforms(random.keys(own, i))
        value = n_known.astype(np.float64) if feature.name == "period_n_known" else drawn
        value = _SHORTEST * 10.0 ** (_DECADES * value) if feature.unit == "d" else value
        columns[feature.name] = arrow.nullable(np.where(n_known > 0, value, np.nan), pa.float32())
    return columns
