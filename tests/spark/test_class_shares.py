"""Probabilities for the class shares of a night: against shares that are known because the night was drawn with them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from deeprubin_spark.scoring.class_shares import MIN_OBJECTS, weights, with_night_probabilities

PRIOR = {"SNIa": 0.5, "AGN": 0.3, "RRL": 0.2}
NIGHT = dt.date(2026, 11, 20)
_COLUMNS = "object_id string, night date, status string, probabilities map<string,float>"


def night(spark, shares, n, seed=1, on=NIGHT):
    """Scored objects drawn with `shares`, each probability by Bayes' theorem from one number that tells the classes apart, and three without."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=shares)
    seen = rng.normal(2.0 * truth, 1.0)
    likelihood = np.exp(-0.5 * (seen[:, None] - 2.0 * np.arange(3)) ** 2)
    trained = likelihood * np.array(list(PRIOR.values()))
    of_training = trained / trained.sum(axis=1, keepdims=True)
    right = likelihood * shares / (likelihood * shares).sum(axis=1, keepdims=True)
    rows = [(f"{i}", on, "scored", dict(zip(PRIOR, map(float, p), strict=True))) for i, p in enumerate(of_training)]
    rows += [(f"none-{i}", on, "abstained", None) for i in range(3)]
    return spark.createDataFrame(rows, _COLUMNS), right


def night_probabilities(made) -> pd.DataFrame:
    rows = made.where("status = 'scored'").collect()
    return pd.DataFrame([row["night_probabilities"] for row in rows], index=[row["object_id"] for row in rows])[list(PRIOR)]


def test_probabilities_become_those_of_the_shares_that_the_night_was_drawn_with(spark):
    shares = np.array([0.05, 0.15, 0.8])
    judged, right = night(spark, shares, 4000)
    weight = weights(judged, PRIOR)
    np.testing.assert_allclose([weight[name] * share for name, share in PRIOR.items()], shares, atol=0.02)
    made = with_night_probabilities(judged, PRIOR)
    found = night_probabilities(made)
    np.testing.assert_allclose(found.to_numpy().sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(found.loc[[f"{i}" for i in range(4000)]].to_numpy(), right, atol=0.08)
    assert made.where("status = 'abstained' AND night_probabilities IS NULL").count() == 3
    assert made.columns == [*judged.columns, "night_probabilities"]


def test_the_order_and_partitions_of_the_rows_change_nothing(spark):
    judged, _ = night(spark, np.array([0.2, 0.2, 0.6]), 500)
    assert weights(judged, PRIOR) == weights(judged.repartition(7).sort("probabilities.SNIa"), PRIOR)


@pytest.mark.parametrize("n", [0, MIN_OBJECTS - 1])
def test_shares_of_a_handful_of_objects_are_not_told(spark, n):
    judged, _ = night(spark, list(PRIOR.values()), n)
    assert weights(judged, PRIOR) == {}
    assert with_night_probabilities(judged, PRIOR).where("night_probabilities IS NOT NULL").count() == 0


def test_nights_scored_together_get_each_its_own_shares(spark):
    one, _ = night(spark, np.array([0.05, 0.15, 0.8]), 300)
    other, _ = night(spark, np.array([0.7, 0.2, 0.1]), 300, seed=2, on=NIGHT + dt.timedelta(days=1))
    few, _ = night(spark, list(PRIOR.values()), 50, seed=3, on=NIGHT + dt.timedelta(days=2))
    together = with_night_probabilities(one.union(other).union(few), PRIOR)
    alone = with_night_probabilities(one, PRIOR)
    first = together.where(F.col("night") == F.lit(NIGHT))
    pd.testing.assert_frame_equal(night_probabilities(first).sort_index(), night_probabilities(alone).sort_index())
    told = {row["night"]: row["told"] for row in together.groupBy("night").agg(F.count("night_probabilities").alias("told")).collect()}
    assert list(told[NIGHT + dt.timedelta(days=n)] for n in range(3)) == [300, 300, 0]
