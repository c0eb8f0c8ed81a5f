"""Copies of labelled light curves are light-curve tables too: with their parents' labels and places, on nights of the pool, and the same each time."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from deeprubin_spark.jobs import augment, benchmark, extract_features, ingest_spcc
from pyspark.sql import functions as F

from deeprubin_spark.kernels.augmentation import FARTHEST, LONGEST_STRETCH, NEAREST
from deeprubin_spark.schemas import FEATURES_LSST, HOSTS, LABELS, LIGHTCURVE_SEGMENTS, RUNS
from deeprubin_spark.schemas.packed_points import packed_rows
from deeprubin_spark.schemas.surveys import COPIED, SURVEYS
from deeprubin_spark.tables import Warehouse
from tests.conftest import DATA, SMALL_SESSION, places, settings_at

TABLES = DATA / "spcc" / "tables"
SPECTROSCOPIC = {"1292": "SNII", "2542": "SNIa", "2598": "SNIa", "396420": "SNIa"}
N_COPIES = 5


def flags_at(directory):
    return [
        word for value in (*places(directory), *SMALL_SESSION, f"augmentation.copies_per_object={N_COPIES}") for word in ("--set", value)
    ]


def rows_of(warehouse, table, survey):
    return {row["object_id"]: row.asDict(recursive=True) for row in warehouse.read(table, survey=survey).collect()}


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """SPCC's carried objects, and both surveys of copies of the four with a spectrum."""
    directory = tmp_path_factory.mktemp("augment")
    assert ingest_spcc.main(["--data", str(TABLES), *flags_at(directory)]) == 0
    for into in COPIED:
        assert augment.main(["--into", into, *flags_at(directory)]) == 0
    return Warehouse(spark, settings_at(directory).warehouse)


@pytest.mark.parametrize("into", COPIED)
def test_copies_have_their_parents_place_and_label_and_a_redshift_within_the_bounds(warehouse, into):
    copies, hosts = rows_of(warehouse, LIGHTCURVE_SEGMENTS, into), rows_of(warehouse, HOSTS, into)
    labels = rows_of(warehouse, LABELS, into)
    parents, of_parents = rows_of(warehouse, LIGHTCURVE_SEGMENTS, "spcc"), rows_of(warehouse, HOSTS, "spcc")
    assert set(copies) == set(hosts) == set(labels) and 0 < len(copies) < N_COPIES * len(SPECTROSCOPIC)
    assert {name.partition("/")[0] for name in copies} == set(SPECTROSCOPIC)
    for name, copy in copies.items():
        parent = name.partition("/")[0]
        assert all(copy[field] == parents[parent][field] for field in ("ra", "dec", "healpix", "night"))
        assert labels[name]["class"] == SPECTROSCOPIC[parent] and labels[name]["source"] == "spcc_spectroscopic:copy"
        z, new_z = of_parents[parent]["photo_z"], hosts[name]["photo_z"]
        assert NEAREST * z <= new_z <= min(FARTHEST * z, LONGEST_STRETCH * (1.0 + z) - 1.0)
        assert hosts[name]["photo_z_err"] / (1.0 + new_z) == pytest.approx(of_parents[parent]["photo_z_err"] / (1.0 + z))
        assert hosts[name]["ebv"] == of_parents[parent]["ebv"]


@pytest.mark.parametrize("into", COPIED)
def test_copies_are_visited_on_the_nights_of_one_object_of_the_pool(warehouse, into):
    parents = rows_of(warehouse, LIGHTCURVE_SEGMENTS, "spcc")
    pool = [name for name in parents if (name in SPECTROSCOPIC) == (COPIED[into].cadences == "labelled")]
    visits = [{(point["mjd"], point["band"]) for point in parents[name]["points"]} for name in pool]
    for copy in rows_of(warehouse, LIGHTCURVE_SEGMENTS, into).values():
        assert any({(point["mjd"], point["band"]) for point in copy["points"]} <= of_one for of_one in visits)


def test_a_copy_is_a_light_curve_like_any_other_and_was_detected(warehouse):
    for copy in rows_of(warehouse, LIGHTCURVE_SEGMENTS, "spcc_transductive").values():
        points = copy["points"]
        assert [point["mjd"] for point in points] == sorted(point["mjd"] for point in points)
        detected = [point for point in points if point["kind"] == "detection"]
        assert len({point["band"] for point in detected if point["flux_njy"] > 0.0}) >= 2 and copy["n_alerts"] == len(detected)
        for point in points:
            assert point["kind"] == ("detection" if abs(point["flux_njy"]) >= 5.0 * point["flux_err_njy"] else "forced")
            assert point["known_night"] == copy["night"]
        of = LIGHTCURVE_SEGMENTS.column("points")
        assert copy["packed"] == packed_rows([tuple(point[field.name] for field in of.fields) for point in points], of)


def test_what_is_not_detected_is_counted(warehouse):
    for row in warehouse.read(RUNS).where("job = 'augment'").collect():
        made = row["counts"]["copies"]
        assert made + row["counts"]["not_detected"] == N_COPIES * len(SPECTROSCOPIC) and row["counts"]["parents"] == len(SPECTROSCOPIC)


def test_copies_made_again_are_the_same_and_of_another_seed_others(warehouse):
    before = rows_of(warehouse, LIGHTCURVE_SEGMENTS, "spcc_inductive")
    flags = flags_at(warehouse.directory.parent)
    assert augment.main(["--into", "spcc_inductive", *flags, "--set", "augmentation.seed=2"]) == 0
    other = rows_of(warehouse, LIGHTCURVE_SEGMENTS, "spcc_inductive")
    assert augment.main(["--into", "spcc_inductive", *flags]) == 0
    assert rows_of(warehouse, LIGHTCURVE_SEGMENTS, "spcc_inductive") == before != other


def test_surveys_of_copies_are_simulated_and_come_after_their_parents():
    simulated = {survey.name for survey in SURVEYS if survey.is_simulated}
    assert {*COPIED, *(rule.of for rule in COPIED.values())} <= simulated


def test_nothing_to_copy_is_exit_66(tmp_path, capsys):
    assert augment.main(["--into", "spcc_inductive", *flags_at(tmp_path)]) == 66
    assert "expected objects of survey spcc with a class by spcc_spectroscopic" in capsys.readouterr().err


def test_the_biased_benchmark_judges_with_and_without_copies(spark, tmp_path):
    command = ["--set", "spcc-biased", "--data", str(TABLES), "--out", str(tmp_path), "--models", "boosted_trees", "--seeds", "1"]
    assert benchmark.main([*command, *flags_at(tmp_path)]) == 0
    result = json.loads((tmp_path / "spcc-biased-boosted_trees.json").read_text())
    assert list(result["scores"]) == ["no augmentation", "inductive", "transductive"]
    assert {scores["judged"] for scores in result["scores"].values()} == {6} and not result["with_redshift"]
    assert result["command"] == (
        "deeprubin-benchmark --set spcc-biased --data PATH --out DIR --models boosted_trees --seeds 1 "
        f"--set augmentation.copies_per_object={N_COPIES}"
    )
    warehouse = Warehouse(spark, settings_at(tmp_path).warehouse)
    for survey in COPIED:
        used = warehouse.read(FEATURES_LSST, survey=survey).where(F.col("status") == "ok").count()
        assert result["copies"][survey]["rows"] == used > 0
    for group in ("no-augmentation", "inductive", "transductive"):
        table = pq.read_table(tmp_path / "spcc-biased" / "boosted_trees" / "seed-1" / f"{group}.parquet")
        assert set(table["object_id"].to_pylist()).isdisjoint(SPECTROSCOPIC)
        np.testing.assert_allclose(sum(table[name].to_numpy() for name in table.column_names if name.startswith("p_")), 1.0, atol=1e-6)
