"""Stars of a night that a test for technosignatures finds odd: one pass over their light curves, then how often chance makes a star as odd.

The pass also tests each star with its nights exchanged at random. Of those copies it hands on what would be odd enough for a row, and how many stars there
were, so that the rate of false alarms is a count within the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels import star_tests
from deeprubin_spark.kernels.event_intervals import SERIES_NAMES
from deeprubin_spark.kernels.feature_catalogue import MODEL_BIC
from deeprubin_spark.kernels.light_curves import light_curves, offsets_of_chosen
from deeprubin_spark.kernels.measurements import DETECTION, LIMIT, MODEL_RECORD
from deeprubin_spark.kernels.vanishing import LEAST_STAR_SCORE
from deeprubin_spark.schemas import TECHNOSIGNATURE_CANDIDATES
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.packed_points import REFERENCES
from deeprubin_spark.schemas.technosignatures import TESTS
from deeprubin_spark.searches import catalogues, natural_explanations
from deeprubin_spark.settings import ScoringSettings

Batches = Iterable[pa.RecordBatch]
FloatArray = NDArray[np.float64]

P_REPORTED = 0.01  # [1] p_combined of a star that gets a row
MOST_STAR_DISTANCE = 1.5  # [arcsec] of the nearest source of PS1 that an object is
MOST_LOG10_FAP = -6.0  # of a period that explains
LIMIT_SIGMAS = 5.0  # that an upper limit is above 0
_KEYS = ("object_id", "night")
_MATCHED = ("star", "star_separation", "distance_pc", "distance_err_pc")
_CARRIED = (
    "survey",
    "object_id",
    "night",
    "ra",
    "dec",
    "star_score",
    *_MATCHED,
    "period",
    "s_phys",
    "best_model",
)  # as they are, into a row
_STAR, _EXCHANGED, _COUNT = "star", "exchanged", "count"  # kinds of the pass's rows

_FOUND = Table(
    "found",
    doc="What the pass hands on: odd stars, odd chances of their copies with nights exchanged (best_test, p_best), and numbers of stars (n).",
    version=1,
    key=(),
    columns=(
        Column("kind", "string"),
        Column("n", "long"),
        Column("gates", "string"),
        *(replace(column, required=False) for column in TECHNOSIGNATURE_CANDIDATES.columns),
    ),
)


def candidates(features: DataFrame, matched: DataFrame, scoring: ScoringSettings) -> DataFrame:
    """What the pass finds among the stars, by PS1 or by the catalogue, of `features` rows: `_FOUND` rows; all frames of one survey and the same nights.

    matched : `star_catalogue.matches` of the objects
    """
    is_star = (F.col("star_score") > LEAST_STAR_SCORE) & (F.col("star_distance") <= MOST_STAR_DISTANCE)
    told = features.where("n_detections > 0 AND ra IS NOT NULL AND dec IS NOT NULL").select(
        *("survey", *_KEYS, "ra", "dec", "star_score", "points", *(column.name for column in REFERENCES.values())),
        F.when(F.col("period_log10_fap") < MOST_LOG10_FAP, F.col("period").cast("double")).alias("period"),
        *(_deviation(features.columns)[name].alias(as_) for name, as_ in (("bic", "s_phys"), ("model", "best_model"))),
        _gates(scoring).alias("gates"),
        F.xxhash64("object_id").alias("key"),
        is_star.alias("is_star"),
    )
    stars = told.join(matched, list(_KEYS), "left").where(F.col("is_star") | F.col("star").isNotNull()).drop("is_star")
    return stars.mapInArrow(star_pass(), _FOUND.spark_schema())


def ranked(found: DataFrame, scores: DataFrame) -> DataFrame:
    """`technosignature_candidates` rows of `candidates` and of `scores` rows of the same nights."""
    odd = found.where(F.col("kind") == _STAR).select(*_KEYS)
    classes = scores.where("status = 'scored'").join(odd, list(_KEYS), "left_semi").groupBy(*_KEYS)
    newest = classes.agg(F.max_by(F.struct("class", "p_class"), "model_version").alias("newest"))
    rated = found.transform(with_false_alarms).drop("class", "p_class").join(newest, list(_KEYS), "left")
    known = rated.withColumns({name: F.col(f"newest.{name}") for name in ("class", "p_class")})
    columns = dict(zip(("status", "reason", "natural_explanation", "would_refute"), natural_explanations.of_status(), strict=True))
    judged = known.withColumns(columns)
    order = (F.col("false_alarms_per_10k_stars"), F.col("p_combined").asc_nulls_last(), F.col("object_id"))
    place = F.row_number().over(Window.partitionBy("survey", "night", "status").orderBy(*order))
    return TECHNOSIGNATURE_CANDIDATES.select(judged.withColumn("rank", F.when(F.col("status") == "candidate", place)))


def with_false_alarms(found: DataFrame) -> DataFrame:
    """The odd stars among the pass's rows, with n_stars and false_alarms_per_10k_stars.

    10^4 (k + 1) / (n + 1), k of the night's n stars whose copies with nights exchanged have a chance as low by the same test (North, Curtis & Sham 2002,
    Am. J. Hum. Genet. 71, 439). It grows with p_best within a test, and is never 0.
    """
    as_odd = Window.partitionBy("survey", "night", "best_test").orderBy("p_best").rangeBetween(Window.unboundedPreceding, Window.currentRow)
    counted = found.withColumn("k", F.count(F.when(F.col("kind") == _EXCHANGED, 1)).over(as_odd))
    n_stars = found.groupBy("survey", "night").agg(F.coalesce(F.sum("n"), F.lit(0).cast("long")).alias("n_stars"))
    counted = counted.drop("n_stars").join(F.broadcast(n_stars), ["survey", "night"])
    rate = F.lit(1e4) * (F.col("k") + 1) / (F.col("n_stars") + 1)
    return counted.where(F.col("kind") == _STAR).withColumn("false_alarms_per_10k_stars", F.when(F.col("gates") == "", rate))


def _deviation(columns: Sequence[str]) -> SparkColumn:
    """Lowest BIC of a physical model less that of the Gaussian process, and the model: a struct of bic and model, NULL where none was fitted."""
    models = [name.removeprefix(MODEL_BIC) for name in columns if name.startswith(MODEL_BIC)]
    every = F.array(*(F.struct(F.col(MODEL_BIC + name).cast("double").alias("bic"), F.lit(name).alias("model")) for name in models))
    return F.array_min(F.filter(every, lambda one: one["bic"].isNotNull()))


def _gates(scoring: ScoringSettings) -> SparkColumn:
    """What the alerts say against the object, comma-separated; '' where nothing."""
    bogus = F.when(F.col("drb_max").isNull(), F.col("rb_max") < scoring.min_rb).otherwise(F.col("drb_max") < scoring.min_drb)
    asteroid = F.col("ss_distance") <= scoring.max_asteroid_distance
    return F.concat_ws(",", F.when(bogus, F.lit("bogus")), F.when(asteroid, F.lit("known_asteroid")))


def bright_events() -> star_tests.Events:
    """`events.csv`: supernovae whose ellipsoids are looked at, in its order."""
    rows = catalogues.table("events.csv")
    return star_tests.Events(*(rows[name].to_numpy(np.float64) for name in ("ra", "dec", "mjd", "distance_pc", "distance_err_pc")))


def star_pass() -> Callable[[Batches], Batches]:
    """The pass: `candidates`' rows of features and stars to `_FOUND` rows; a `mapInArrow` function."""
    events, names = bright_events(), tuple(catalogues.table("events.csv")["name"])

    def generate(batches: Batches) -> Batches:
        schema = _FOUND.arrow_schema()
        for batch in batches:
            if batch.num_rows == 0:
                continue
            found = _tested(batch, events)
            is_gated = np.asarray(batch.column("gates").to_numpy(zero_copy_only=False) != "", bool)
            for columns, n_rows in (_odd(batch, found, names), *_copies(batch, found, is_gated), _counts(batch, is_gated)):
                yield arrow.rows_of(columns, schema, n_rows)

    return generate


def _tested(batch: pa.RecordBatch, events: star_tests.Events) -> star_tests.Tested:
    data, bounds = arrow.bytes_in(batch.column("points"))
    records, offsets = data.view(MODEL_RECORD), bounds // MODEL_RECORD.itemsize
    detected = records["kind"] == DETECTION
    flux = np.where(detected, records["flux_njy"], 0.0).astype(np.float64)
    error = np.where(detected, records["flux_err_njy"], records["limit_njy"] / LIMIT_SIGMAS).astype(np.float64)
    is_known = detected | (records["kind"] == LIMIT)
    used = is_known & np.isfinite(flux) & (error > 0.0) & np.isfinite(error) & (records["band"] >= 0)
    curves = light_curves(offsets_of_chosen(used, offsets), records["mjd"][used], records["band"][used], flux[used], error[used])
    reference = np.full((batch.num_rows, len(BAND_NAMES)), np.nan)
    for band, column in REFERENCES.items():
        reference[:, BAND_NAMES.index(band)] = arrow.floats(batch.column(column.name))
    stars = star_tests.Stars(
        **{name: arrow.floats(batch.column(name)) for name in ("ra", "dec", "star_score")},
        distance=arrow.floats(batch.column("distance_pc")),
        distance_err=arrow.floats(batch.column("distance_err_pc")),
        reference=reference,
        key=arrow.longs(batch.column("key"), 0).view(np.uint64),
        looked=np.ascontiguousarray(records["mjd"]),
        looked_offsets=offsets,
    )
    return star_tests.tested(curves, detected[used], stars, events)


def _odd(batch: pa.RecordBatch, found: star_tests.Tested, names: tuple[str, ...]) -> tuple[dict[str, pa.Array], int]:
    """Rows of the stars that a test finds odd."""
    combined, n_tests = star_tests.after_look_elsewhere(found.p)
    gone = found.gone.is_gone
    at = np.flatnonzero((combined <= P_REPORTED) | gone)
    least = np.where(np.isnan(found.p), np.inf, found.p)
    best = np.where(gone, len(star_tests.CHANCES), least.argmin(axis=1))[at]
    numbers = {
        "p_best": np.where(gone, np.nan, least.min(axis=1)),
        "p_combined": combined,
        **{f"p_{name}": found.p[:, i] for i, name in enumerate(star_tests.CHANCES)},
        **_numbers(found),
    }
    counts = {
        "n_tests": n_tests,
        "n_nights": found.n_nights,
        "dip_nights": found.dip.n_low,
        "achromatic_nights": found.screens.n,
        "n_levels": found.n_levels,
        "gone_nights": found.gone.nights,
    }
    rows = pa.array(at)
    made = {name: batch.column(name).take(rows).cast(_FOUND.column(name).arrow_type()) for name in (*_CARRIED, "gates")}
    made |= {name: arrow.nullable(values[at], pa.float64()) for name, values in numbers.items()}
    made |= {name: pa.array(values[at].astype(np.int32)) for name, values in counts.items()}
    texts = {"ellipsoid_event": (names, found.ellipsoid.event), "interval_series": (SERIES_NAMES, found.series)}
    made |= {name: _texts(words, places[at]) for name, (words, places) in texts.items()}
    made |= {"kind": _all_of(_STAR, len(at)), "best_test": _texts(TESTS, best), "is_gone": pa.array(gone[at])}
    return made, len(at)


def _numbers(found: star_tests.Tested) -> dict[str, FloatArray]:
    """What tests say besides their chance, by column."""
    return {
        "event_mjd": found.event_mjd,
        "ellipsoid_mjd": found.ellipsoid.crossing_mjd,
        "ellipsoid_mjd_err": found.ellipsoid.crossing_err,
        "ell_z": found.ellipsoid.z,
        "opposition_days": found.opposition_days,
        "dip_depth": found.dip.depth,
        "dip_fraction": found.dip.fraction,
        "dip_asymmetry": found.dip.asymmetry,
        "dip_duty": found.dip.duty,
        "achromatic_log_ratio": found.screens.log_likelihood_ratio,
        "gone_fraction": found.gone.fraction,
    }


def _copies(batch: pa.RecordBatch, found: star_tests.Tested, is_gated: NDArray[np.bool_]) -> Iterable[tuple[dict[str, pa.Array], int]]:
    """For each test the copies that it finds odd."""
    chances = [*found.p_exchanged.T, np.where(found.gone.is_gone, 0.0, np.nan)]
    for name, p in zip(TESTS, chances, strict=True):
        at = np.flatnonzero((p <= P_REPORTED) & ~is_gated)
        told = {key: batch.column(key).take(pa.array(at)) for key in ("survey", "night")}
        odd = pa.nulls(len(at), pa.float64()) if name == "vanish" else pa.array(p[at])
        yield {**told, "kind": _all_of(_EXCHANGED, len(at)), "best_test": _all_of(name, len(at)), "p_best": odd}, len(at)


def _counts(batch: pa.RecordBatch, is_gated: NDArray[np.bool_]) -> tuple[dict[str, pa.Array], int]:
    """How many stars of each night the rates are from."""
    kept = pa.table({name: batch.column(name) for name in ("survey", "night")}).filter(pa.array(~is_gated))
    counted = kept.group_by(["survey", "night"]).aggregate([([], "count_all")]).combine_chunks()
    columns = {name: counted.column(name).combine_chunks() for name in ("survey", "night")}
    return {**columns, "kind": _all_of(_COUNT, len(counted)), "n": counted.column("count_all").combine_chunks()}, len(counted)


def _texts(words: tuple[str, ...], places: NDArray[np.int64]) -> pa.Array:
    """Words by place; NULL for -1."""
    return pa.array(words, pa.string()).take(pa.array(places, mask=places < 0))


def _all_of(text: str, n_rows: int) -> pa.Array:
    return pa.array([text] * n_rows, pa.string())
