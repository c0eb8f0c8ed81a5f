"""PLAsTiCC's curves become ZTF-like segments and labels, and features of a part are those of the truncated curve."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deeprubin_spark.jobs import ingest_plasticc
from pyspark.sql import functions as F

from deeprubin_spark.bands import band_index
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import plasticc, plasticc_ztf
from deeprubin_spark.kernels import light_curve_features as kernel
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.observations import Observations
from deeprubin_spark.preprocessing.features import features
from deeprubin_spark.schemas import FEATURES, HOSTS, LABELS, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.tables import Warehouse
from tests.conftest import DATA, places, settings_at

OBJECTS = 40


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A folder with the first carried objects' light curves and metadata."""
    directory = tmp_path_factory.mktemp("plasticc")
    metadata = pq.read_table(DATA / "plasticc" / "metadata.parquet").slice(0, OBJECTS)
    curves = pq.read_table(DATA / "plasticc" / "light_curves.parquet")
    pq.write_table(metadata, directory / "metadata.parquet")
    pq.write_table(curves.filter(pc.is_in(curves["object_id"], metadata["object_id"].combine_chunks())), directory / "curves.parquet")
    return str(directory)


@pytest.fixture(scope="module")
def made(spark, carried):
    """All segments, as dictionaries by object_id."""
    metadata = plasticc_ztf.metadata(spark, carried)
    frame = plasticc_ztf.light_curves(spark, carried).transform(plasticc_ztf.segments(metadata, seed=1, windows=3))
    return {row["object_id"]: row.asDict(recursive=True) for row in frame.collect()}


def points_of(row, kind):
    return [point for point in row["points"] if point["kind"] == kind]


def test_a_point_is_a_detection_where_it_is_five_sigma_from_zero_and_else_a_limit(made):
    for row in made.values():
        for point in points_of(row, "detection"):
            assert abs(point["flux_njy"]) >= 5.0 * point["flux_err_njy"] > 0.0
            assert point["source_id"] == point["packet_id"]
        for point in points_of(row, "limit"):
            assert point["flux_njy"] is None and point["flux_err_njy"] is None and point["source_id"] is None
            assert point["limit_njy"] > 0.0
        assert points_of(row, "detection")
        assert {point["band"] for point in row["points"]} <= {"g", "r"}


def test_limits_fall_near_twenty_and_a_half_magnitudes_and_errors_have_a_floor(made):
    limits = np.array([p["limit_njy"] for row in made.values() for p in points_of(row, "limit")])
    assert np.median(31.4 - 2.5 * np.log10(limits)) == pytest.approx(20.5, abs=0.4)
    relative = [p["flux_err_njy"] / abs(p["flux_njy"]) for row in made.values() for p in points_of(row, "detection")]
    assert min(relative) >= 0.02 * np.log(10.0) / 2.5


def test_scaling_keeps_signal_to_noise_where_the_floor_is_negligible():
    mjd, flux, err = np.arange(8.0), np.array([1.0, -7.0, 0.2, 6.0, 5.5, -0.3, 8.0, 2.0]), np.ones(8)
    points = plasticc_ztf.ztf_like(mjd, np.zeros(8, bool), flux, err)
    np.testing.assert_allclose(points.flux / points.flux_err, flux, rtol=0.02)
    assert points.is_detection.tolist() == [False, True, False, True, True, False, True, False]


def test_points_without_a_usable_error_are_left_out():
    points = plasticc_ztf.ztf_like(np.arange(4.0), np.zeros(4, bool), np.array([1.0, np.nan, 3.0, 4.0]), np.array([1.0, 1.0, 0.0, np.inf]))
    assert len(points.mjd) == 1


def test_a_part_is_a_stretch_of_its_parent_that_ends_with_a_detection(made):
    parts = [name for name in made if "/" in name]
    assert len(parts) > OBJECTS / 2
    for name in parts:
        part, whole = made[name], made[name.partition("/")[0]]
        times = [point["mjd"] for point in part["points"]]
        assert part["points"] == [point for point in whole["points"] if times[0] <= point["mjd"] <= times[-1]]
        assert len(points_of(part, "detection")) >= 5 and part["n_alerts"] == len(points_of(part, "detection"))
        assert max(point["mjd"] for point in points_of(part, "detection")) == times[-1]
        assert len(part["points"]) < len(whole["points"]) and times[-1] - times[0] <= 400.0
        assert (part["ra"], part["dec"], part["healpix"]) == (whole["ra"], whole["dec"], whole["healpix"])


def test_the_same_seed_makes_the_same_parts_and_another_seed_others(spark, carried, made):
    metadata = plasticc_ztf.metadata(spark, carried)

    def lengths(seed):
        frame = plasticc_ztf.light_curves(spark, carried).repartition(3).transform(plasticc_ztf.segments(metadata, seed=seed, windows=3))
        return {row["object_id"]: row["n"] for row in frame.select("object_id", F.size("points").alias("n")).collect()}

    assert lengths(1) == {name: len(row["points"]) for name, row in made.items()}
    assert lengths(2) != lengths(1)


def test_labels_are_the_targets_and_a_code_outside_the_taxonomy_has_no_class(spark, tmp_path):
    pq.write_table(pa.table({"object_id": [1, 2], "ra": [1.0, 2.0], "decl": [1.0, 2.0], "target": [90, 991]}), tmp_path / "m.parquet")
    made = plasticc.labels(plasticc_ztf.metadata(spark, str(tmp_path)), plasticc_ztf.SURVEY)
    rows = {row["object_id"]: row for row in made.collect()}
    assert (rows["1"]["label"], rows["1"]["class"], rows["1"]["source"]) == ("90", "SNIa", "plasticc_truth")
    assert (rows["2"]["label"], rows["2"]["class"]) == ("991", None)
    assert rows["1"]["labelled_on"] == dt.date(2018, 9, 28)


def test_csv_as_the_challenge_published_it_is_read_too(spark, carried, tmp_path):
    curves = pq.read_table(f"{carried}/curves.parquet")
    (tmp_path / "curves.csv").write_text(curves.append_column("detected", pa.array([1] * len(curves))).to_pandas().to_csv(index=False))
    assert plasticc_ztf.light_curves(spark, str(tmp_path)).count() == plasticc_ztf.light_curves(spark, carried).count()


def test_a_missing_folder_or_a_table_without_the_columns_is_exit_66(spark, carried, tmp_path):
    pq.write_table(pq.read_table(f"{carried}/metadata.parquet").drop(["ra"]), tmp_path / "metadata.parquet")
    for folder, told in (
        ("/nowhere", "expected a folder with files"),
        (str(tmp_path), "expected a folder with Parquet or CSV that has the columns"),
    ):
        with pytest.raises(NoInputError, match=told) as refused:
            plasticc_ztf.metadata(spark, folder)
        assert refused.value.exit_code == 66


def test_features_of_a_part_are_those_of_the_truncated_curve(spark, warehouse, made):
    chosen = [name for name in made if "/" in name][:6]
    rows = [tuple(made[name][column] for column in LIGHTCURVE_SEGMENTS.names) for name in chosen]
    rows = [tuple(tuple(tuple(p.values()) for p in v) if isinstance(v, list) else v for v in row) for row in rows]
    segments = spark.createDataFrame(rows, LIGHTCURVE_SEGMENTS.spark_schema())
    base = spark.createDataFrame([], LIGHTCURVE_BASE.spark_schema())
    found = {row["object_id"]: row for row in features(segments, base, segments, warehouse.read(FEATURES), rule_of("ztf")).collect()}
    for name in chosen:
        parent = made[name.partition("/")[0]]
        times = [point["mjd"] for point in made[name]["points"]]
        kept = [p for p in points_of(parent, "detection") if times[0] <= p["mjd"] <= times[-1]]
        curves = light_curves(
            np.array([0, len(kept)]),
            np.array([p["mjd"] for p in kept]),
            np.array([band_index(p["band"]) for p in kept]),
            np.array([p["flux_njy"] for p in kept]),
            np.array([p["flux_err_njy"] for p in kept]),
        )
        expected = kernel.extract(Observations.of_curves(curves))
        of_curve = [i for i, feature in enumerate(kernel.FEATURES) if feature.group not in ("limits", "context")]
        values = [found[name][kernel.FEATURE_NAMES[i]] for i in of_curve]
        values = np.array([np.nan if value is None else value for value in values], np.float32)
        np.testing.assert_array_equal(values, expected.values[0, of_curve].astype(np.float32))
        np.testing.assert_array_equal(np.frombuffer(found[name]["grid_mean"], "<f4"), expected.grid_mean[0].ravel().astype(np.float32))


@pytest.mark.parametrize("survey", ["plasticc_ztf", "plasticc_parts"])
def test_the_job_run_twice_leaves_the_same_tables(spark, carried, tmp_path, survey):
    sets = [argument for value in places(tmp_path) for argument in ("--set", value)]
    contents = []
    for _ in range(2):
        assert ingest_plasticc.main(["--data", carried, "--survey", survey, *sets]) == 0
        warehouse = Warehouse(spark, settings_at(tmp_path).warehouse)
        segments = warehouse.read(LIGHTCURVE_SEGMENTS, survey=survey).select(
            F.sum(F.xxhash64("object_id", F.col("points").cast("string")) % 1000003)
        )
        contents.append((segments.first()[0], warehouse.read(LABELS).count()))
    assert contents[0] == contents[1]
    assert contents[0][1] == OBJECTS


def test_parts_in_six_bands_are_stretches_of_their_parent_that_end_with_a_detection(spark, tmp_path):
    """The carried set has g and r alone, with its hosts; every part keeps its parent's host and label."""
    objects = pd.DataFrame(
        {"object_id": [7, 8], "ra": [10.0, 20.0], "decl": [-5.0, 5.0], "target": [90, 90], "hostgal_photoz": [0.3, 0.0]}
    ).assign(hostgal_photoz_err=0.01, mwebv=0.02)
    rng = np.random.default_rng(2)
    n = 300
    curves = pd.DataFrame(
        {"object_id": np.repeat([7, 8], n), "mjd": 60000.0 + rng.uniform(0.0, 500.0, 2 * n), "passband": rng.integers(0, 6, 2 * n)}
    )
    curves = curves.assign(flux=rng.choice([30.0, 1.0], 2 * n), flux_err=1.0)
    objects.to_csv(tmp_path / "objects.csv", index=False)
    curves.to_csv(tmp_path / "curves.csv", index=False)
    sets = [argument for value in places(tmp_path) for argument in ("--set", value)]
    assert ingest_plasticc.main(["--data", str(tmp_path), "--survey", "plasticc_parts", *sets]) == 0
    warehouse = Warehouse(spark, settings_at(tmp_path).warehouse)
    rows = {row["object_id"]: row for row in warehouse.read(LIGHTCURVE_SEGMENTS, survey="plasticc_parts").collect()}
    parts = {name: row for name, row in rows.items() if "/" in name}
    assert sorted(rows) == sorted([*(f"{parent}{part}" for parent in (7, 8) for part in ("", "/w1", "/w2", "/w3"))])
    for name, row in parts.items():
        parent = rows[name.partition("/")[0]]
        times = [point["mjd"] for point in row["points"]]
        assert row["points"] == [p for p in parent["points"] if times[0] <= p["mjd"] <= times[-1]] and len(times) < n
        assert row["points"][-1]["kind"] == "detection" and {p["band"] for p in parent["points"]} == set("ugrizy")
        assert row["n_alerts"] == sum(p["kind"] == "detection" for p in row["points"]) >= 5 and row["healpix"] == parent["healpix"]
    hosts = {row["object_id"]: row["photo_z"] for row in warehouse.read(HOSTS, survey="plasticc_parts").collect()}
    assert hosts == {name: 0.3 if name.startswith("7") else None for name in rows}
    assert [row["object_id"] for row in warehouse.read(LABELS, survey="plasticc_parts").sort("object_id").collect()] == ["7", "8"]
