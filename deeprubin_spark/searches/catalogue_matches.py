"""Objects of a night at the places of objects that others know to be strange. Offline, by position alone: it looks at no class and changes none.

The catalogues are small, so every Python worker holds them and no join is needed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.kernels.separations import pairs_within
from deeprubin_spark.schemas import CATALOGUE_MATCHES
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.searches import catalogues

Batches = Iterable[pa.RecordBatch]

RADIUS = 3.0  # [arcsec] ZTF's places are good to a tenth of that; those of the older catalogues to one, and stars have moved since
_CARRIED = ("survey", "night", "object_id", "ra", "dec")
_OF_ENTRY = ("catalogue", "name", "type")
_PAIR = Table(
    "pair",
    doc="An object and an entry near it.",
    version=1,
    key=CATALOGUE_MATCHES.key,
    columns=tuple(CATALOGUE_MATCHES.column(name) for name in (*_CARRIED, *_OF_ENTRY, "separation_arcsec")),
)


def matches(scores: DataFrame) -> DataFrame:
    """`catalogue_matches` rows of the objects of `scores` rows, scored or not; an object that several models scored counts once."""
    placed = scores.where("ra IS NOT NULL AND dec IS NOT NULL").select(*_CARRIED)
    pairs = placed.mapInArrow(_pairs, _PAIR.spark_schema()).dropDuplicates(list(_PAIR.key))
    of_object, of_entry = (Window.partitionBy("survey", "night", "catalogue", name) for name in ("object_id", "name"))
    counted = pairs.withColumns({"n_entries": F.count("*").over(of_object), "n_objects": F.count("*").over(of_entry)})
    is_one = (F.col("n_entries") == 1) & (F.col("n_objects") == 1)
    whole = {name: F.col(name).cast("int") for name in ("n_entries", "n_objects")}
    return CATALOGUE_MATCHES.select(counted.withColumns({**whole, "status": F.when(is_one, "match").otherwise("ambiguous")}))


def _pairs(batches: Batches) -> Batches:
    known, schema = catalogues.strange_objects(), _PAIR.arrow_schema()
    ra, dec = (known.column(name).to_numpy() for name in ("ra", "dec"))
    for batch in batches:
        rows, entries, apart = pairs_within(arrow.floats(batch.column("ra")), arrow.floats(batch.column("dec")), ra, dec, RADIUS)
        if len(rows) == 0:
            continue
        columns = {name: batch.column(name).take(pa.array(rows)) for name in _CARRIED}
        columns |= {name: known.column(name).take(pa.array(entries)).combine_chunks() for name in _OF_ENTRY}
        yield arrow.rows_of({**columns, "separation_arcsec": pa.array(np.minimum(apart, RADIUS))}, schema, len(rows))
