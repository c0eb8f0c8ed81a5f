"""The rule that joins segments and base into light curves, against a plain reading of it."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pytest
from pyspark.sql import functions as F

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import ContractError
from deeprubin_spark.kernels.measurements import KINDS, NO_SOURCE
from deeprubin_spark.preprocessing import folding, history
from deeprubin_spark.preprocessing.light_curves import light_curves
from deeprubin_spark.preprocessing.objects import whole_objects
from deeprubin_spark.schemas import LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.schemas.packed_points import RECORD, packed_rows
from tests.plain_light_curve import plain_rule, sort_key

FIRST = dt.date(2020, 1, 1)
NIGHTS = [FIRST + dt.timedelta(days=i) for i in range(5)]
NAMES = [c.name for c in POINT]


def random_segments(n_objects: int, seed: int = 1) -> list[dict]:
    """Segments whose few exposures, bands and ids collide often, so that every branch of the rule is met."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_objects):
        for night in sorted(rng.choice(len(NIGHTS), size=rng.integers(1, 5), replace=False)):
            points = [random_point(rng, NIGHTS[night]) for _ in range(rng.integers(1, 9))]
            rows.append({"object_id": f"o{i}", "night": NIGHTS[night], "points": sorted(points, key=sort_key)})
    return rows


def random_point(rng: np.random.Generator, night: dt.date) -> dict:
    kind = str(rng.choice(["detection", "limit", "forced"], p=[0.6, 0.25, 0.15]))
    packet = int(rng.integers(1, 4)) + 10 * night.day
    source = None
    if kind == "detection":
        source = packet if rng.random() < 0.4 else int(rng.integers(11, 15))
    start = float(rng.integers(0, 3))
    return dict.fromkeys(NAMES) | {
        "exposure_mjd": start,
        "mjd": start + 0.1,
        "band": str(rng.choice(["g", "r"])),
        "kind": kind,
        "source_id": source,
        "packet_id": packet,
        "known_night": night,
        "flux_njy": None if kind == "limit" else float(rng.integers(0, 1000)),
        "rb": None if rng.random() < 0.2 else float(rng.choice([0.25, 0.5, 0.75])),
    }


def segment_frame(spark, rows: list[dict]):
    shared = {"survey": "ztf", "ra": 10.0, "dec": 20.0, "healpix": 7, "n_alerts": 1}
    tuples = []
    for row in rows:
        values = dict.fromkeys(LIGHTCURVE_SEGMENTS.names) | shared | row
        values["points"] = [tuple(p[name] for name in NAMES) for p in row["points"]]
        values["packed"] = packed_rows(values["points"], LIGHTCURVE_SEGMENTS.column("points"))
        tuples.append(tuple(values[name] for name in LIGHTCURVE_SEGMENTS.names))
    return spark.createDataFrame(tuples, LIGHTCURVE_SEGMENTS.spark_schema())


def empty_base(spark):
    return spark.createDataFrame([], LIGHTCURVE_BASE.spark_schema())


def curves_of(frame) -> dict[tuple, list[dict]]:
    keys = [name for name in ("object_id", "night") if name in frame.columns]
    return {tuple(row[k] for k in keys): [p.asDict() for p in row["points"]] for row in frame.select(*keys, "points").collect()}


def expected(rows: list[dict], night: dt.date) -> dict[tuple, list[dict]]:
    by_object: dict[str, list[dict]] = {}
    for row in rows:
        by_object.setdefault(row["object_id"], []).extend(row["points"])
    curves = {(name,): plain_rule(points, night) for name, points in by_object.items()}
    return {name: points for name, points in curves.items() if points}


@pytest.fixture(scope="module")
def rows():
    return random_segments(150)


def test_the_view_follows_the_rule(spark, rows):
    assert curves_of(light_curves(segment_frame(spark, rows), empty_base(spark))) == expected(rows, NIGHTS[-1])


def of_record(record: np.void) -> dict:
    """A packed point as the table has it; what is not packed is NULL in these points."""
    values = {name: None if record[name] == NO_SOURCE or record[name] != record[name] else record[name].item() for name in RECORD.names}
    values |= {"band": BAND_NAMES[record["band"]], "kind": KINDS[record["kind"]]}
    return dict.fromkeys(NAMES) | values | {"known_night": dt.date(1970, 1, 1) + dt.timedelta(days=int(record["known_night"]))}


def compiled(segments, base, touched) -> dict[tuple, list[dict]]:
    """The light curve of each touched object and night by the night's own pass, as the view gives it."""
    joined = history.with_history(touched, segments, base, ())
    found = {}
    for batch in whole_objects(joined.toArrow().to_batches(max_chunksize=7), "object_id"):
        first, records, chosen = history.light_curves(batch, history.unfolded_nights(segments))
        points = [of_record(record) for record in records]
        for b, row in enumerate(first.to_pylist()):
            rows = slice(chosen.offsets[b], chosen.offsets[b + 1])
            curve = [
                points[i] | {"same_exposure": bool(same)} for i, same in zip(chosen.rows[rows], chosen.same_exposure[rows], strict=True)
            ]
            key = (batch.column("object_id")[row].as_py(), batch.column("night")[row].as_py())
            assert key not in found, "one light curve an object and night"
            found[key] = sorted(curve, key=sort_key)
    return found


@pytest.mark.parametrize("n_folded", [0, 2, 4])
def test_what_was_known_on_a_night_sees_no_later_point(spark, rows, n_folded):
    segments = segment_frame(spark, rows).cache()
    base = folding.folded(segments.where(F.col("night").isin(NIGHTS[:n_folded])), empty_base(spark), NIGHTS[:n_folded])
    for night in NIGHTS[n_folded:]:
        kept = segments.where(~F.col("night").isin(NIGHTS[:n_folded]))
        found = compiled(kept, base, kept.where(F.col("night") == night))
        wanted = expected(rows, night)
        assert found == {(row["object_id"], night): wanted[(row["object_id"],)] for row in rows if row["night"] == night}


def test_several_nights_at_once_are_each_as_they_were(spark, rows):
    segments = segment_frame(spark, rows).cache()
    found = compiled(segments, empty_base(spark), segments.where(F.col("night").isin(NIGHTS[2:])))
    assert found == {
        (row["object_id"], row["night"]): expected(rows, row["night"])[(row["object_id"],)] for row in rows if row["night"] in NIGHTS[2:]
    }


@pytest.mark.parametrize("n_folded", [1, 3, 5])
def test_folding_never_changes_the_view(spark, rows, n_folded):
    segments = segment_frame(spark, rows).cache()
    old = segments.where(F.col("night").isin(NIGHTS[:n_folded]))
    base = folding.folded(old, empty_base(spark), NIGHTS[:n_folded])
    wanted = curves_of(light_curves(segments, empty_base(spark)))
    assert curves_of(light_curves(segments, base)) == wanted, "between the commits of a fold, a night is in both tables"
    assert curves_of(light_curves(segments.where(~F.col("night").isin(NIGHTS[:n_folded])), base)) == wanted


def test_folding_in_steps_or_twice_or_out_of_order_gives_the_same_view(spark, rows):
    segments = segment_frame(spark, rows).cache()
    wanted = curves_of(light_curves(segments, empty_base(spark)))
    for order in ([[0, 1], [2, 3, 4]], [[0], [1], [1], [2, 3], [4]], [[3, 4], [0], [1, 2]]):
        base = empty_base(spark)
        for step in order:
            nights = [NIGHTS[i] for i in step]
            base = folding.folded(segments.where(F.col("night").isin(nights)), base, nights)
        assert curves_of(light_curves(segment_frame(spark, []), base)) == wanted, order


def test_a_folded_base_is_written_by_parts_of_the_sky(spark, rows):
    """So that a night's part of the sky is a few files: each holds pixels that no other does."""
    pixel = F.pmod(F.xxhash64("object_id"), F.lit(1000))
    segments = segment_frame(spark, rows).withColumn("healpix", pixel)
    usual = spark.conf.get("spark.sql.adaptive.enabled")
    spark.conf.set("spark.sql.adaptive.enabled", "false")  # it would join parts as small as these
    try:
        base = folding.folded(segments, empty_base(spark), NIGHTS)
        parts = base.groupBy(F.spark_partition_id().alias("part")).agg(F.min("healpix"), F.max("healpix")).collect()
    finally:
        spark.conf.set("spark.sql.adaptive.enabled", usual)
    spans = sorted((first, last) for _, first, last in parts)
    assert len(spans) > 1
    assert all(last < first for (_, last), (first, _) in itertools.pairwise(spans))


def test_a_folded_night_that_is_run_again_gets_its_and_later_segments_back(spark, rows):
    """The rerun holds fewer alerts: what only they had made known first must still be there from later packets."""
    segments = segment_frame(spark, rows).cache()
    base = folding.folded(segments.where(F.col("night").isin(NIGHTS[:4])), empty_base(spark), NIGHTS[:4])
    again = folding.nights_to_rebuild(NIGHTS, base, [NIGHTS[1]])
    assert again == tuple(NIGHTS[1:4])
    fewer = [row for row in rows if row["night"] != NIGHTS[1] or row["object_id"] < "o5"]
    rebuilt = segment_frame(spark, [row for row in fewer if row["night"] >= NIGHTS[1]])
    wanted = expected(fewer, NIGHTS[-1])
    assert curves_of(light_curves(rebuilt, base)) == wanted, "between the two commits"
    assert curves_of(light_curves(rebuilt, folding.before(base, NIGHTS[1]))) == wanted


def test_a_night_later_than_the_base_rebuilds_nothing(spark, rows):
    segments = segment_frame(spark, rows).cache()
    base = folding.folded(segments.where(F.col("night").isin(NIGHTS[:2])), empty_base(spark), NIGHTS[:2])
    assert folding.nights_to_rebuild(NIGHTS, base, [NIGHTS[3]]) == (NIGHTS[3],)


def test_the_base_keeps_no_version_that_no_night_can_need(spark, rows):
    segments = segment_frame(spark, rows).cache()
    base = folding.folded(segments, empty_base(spark), NIGHTS)
    for row in base.collect():
        points = [p.asDict() for p in row["points"] if p["kind"] != "forced"]
        for _, group in itertools.groupby(sorted(points, key=_identity), key=_identity):
            versions = sorted(group, key=lambda p: p["known_night"])
            assert len(versions) <= 2
            assert len(versions) == 1 or versions[0]["source_id"] != versions[0]["packet_id"], "an own row known first is enough"


def _identity(p: dict) -> tuple:
    return (p["kind"], p["exposure_mjd"], p["band"], p["source_id"] or -1)


def test_rows_of_an_older_contract_are_refused(spark, rows):
    """Without packed points their history would silently be missing."""
    old = segment_frame(spark, rows).withColumn("packed", F.lit(None).cast("binary"))
    with pytest.raises(ContractError, match="no packed points, as before contract 2; run build_lightcurves"):
        compiled(old, empty_base(spark), old.where(F.col("night") == NIGHTS[4]))
