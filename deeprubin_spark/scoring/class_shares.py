"""Class shares of the night, and class probabilities that hold for them.

A network learns from as many supernovae as its simulation has, and no sky has as many. The shares of the night's objects are estimated from the probabilities
of a sample of them, without a label (`kernels.calibration.label_shift`): right as far as each class looks on the sky as in the simulation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.kernels.calibration import label_shift

MIN_OBJECTS = 100  # of which shares of a dozen classes say something
MAX_OBJECTS = 20_000  # shares of a percent to a tenth of it

_WEIGHTED, _TOTAL = "_weighted", "_total"


def with_night_probabilities(judged: DataFrame, prior: Mapping[str, float]) -> DataFrame:
    """Verdicts with the column night_probabilities: NULL where an object was not scored, or too few of its night were.

    judged : persisted, for it is read again for each night      prior : shares of the classes for which its probabilities hold
    """
    nights = [row["night"] for row in judged.select("night").distinct().collect()]  # bounded by the nights of a run
    of_nights = {night: weights(judged.where(F.col("night") == F.lit(night)), prior) for night in nights}
    of_night = F.lit(None).cast("array<double>")
    for night, weight in of_nights.items():
        if weight:
            of_night = F.when(F.col("night") == F.lit(night), F.array(*(F.lit(weight[name]) for name in prior))).otherwise(of_night)
    probabilities = F.array(*(F.col("probabilities")[name] for name in prior))
    weighted = F.when(F.col("probabilities").isNotNull(), F.zip_with(probabilities, of_night, lambda p, w: p * w))
    summed = F.aggregate(_WEIGHTED, F.lit(0.0), lambda total, p: total + p)
    share = F.transform(_WEIGHTED, lambda p: (p / F.col(_TOTAL)).cast("float"))
    made = judged.withColumn(_WEIGHTED, weighted).withColumn(_TOTAL, summed)
    names = F.array(*(F.lit(name) for name in prior))
    return made.withColumn("night_probabilities", F.map_from_arrays(names, share)).drop(_WEIGHTED, _TOTAL)


def weights(judged: DataFrame, prior: Mapping[str, float]) -> dict[str, float]:
    """Share of each class among the verdicts of a night over its share in training; empty where fewer than MIN_OBJECTS were scored.

    From at most MAX_OBJECTS in the order of a hash of their ids, so that the same night gives the same shares.
    """
    scored = judged.where("status = 'scored'").sort(F.xxhash64("object_id"), "object_id").limit(MAX_OBJECTS)
    sample = scored.select(*(F.col("probabilities")[name].alias(name) for name in prior)).toArrow()  # bounded by MAX_OBJECTS
    if sample.num_rows < MIN_OBJECTS:
        return {}
    trained = np.array(list(prior.values()))
    shares, _ = label_shift(np.column_stack([arrow.floats(column) for column in sample.columns]), trained)
    return dict(zip(prior, np.divide(shares, trained, out=np.zeros_like(trained), where=trained > 0.0).tolist(), strict=True))
