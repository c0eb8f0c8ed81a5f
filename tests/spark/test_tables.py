"""Writes are checked, atomic, repeatable, and traceable to their run."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import time

import pytest
from filelock import FileLock
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from deeprubin_spark import runs
from deeprubin_spark.errors import ConfigError, ContractError, RetryableError
from deeprubin_spark.schemas import LABELS, QUARANTINE, RUNS, SCORES
from deeprubin_spark.settings import WarehouseSettings
from deeprubin_spark.tables import Warehouse

NIGHT, NEXT = dt.date(2018, 11, 29), dt.date(2018, 11, 30)


def quarantined(spark, night, *members):
    rows = [("ztf", night, "a.tar.gz", member, 0, 1, "not_avro", "test", b"x") for member in members]
    return spark.createDataFrame(rows, QUARANTINE.spark_schema())


def members(warehouse, night):
    return sorted(row["member"] for row in warehouse.read(QUARANTINE, nights=[night]).select("member").collect())


def test_a_slice_is_replaced_and_the_rest_stays(spark, warehouse):
    warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT, "a", "b"), "run1", nights=[NIGHT], survey="ztf")
    warehouse.replace_slice(QUARANTINE, quarantined(spark, NEXT, "c"), "run2", nights=[NEXT], survey="ztf")
    warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT, "d"), "run3", nights=[NIGHT], survey="ztf")
    assert members(warehouse, NIGHT) == ["d"]
    assert members(warehouse, NEXT) == ["c"]
    warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT), "run4", nights=[NIGHT], survey="ztf")
    assert members(warehouse, NIGHT) == []


def test_rows_added_are_those_of_one_commit_and_unknown_where_files_carry_no_count(spark, warehouse):
    first = warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT, "a", "b"), "run1", nights=[NIGHT], survey="ztf")
    second = warehouse.replace_slice(QUARANTINE, quarantined(spark, NEXT, "c"), "run2", nights=[NEXT], survey="ztf")
    spark.conf.set("spark.databricks.delta.stats.collect", "false")
    try:
        third = warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT, "d", "e", "f"), "run3", nights=[NIGHT], survey="ztf")
    finally:
        spark.conf.unset("spark.databricks.delta.stats.collect")
    assert [warehouse.rows_added(QUARANTINE, version) for version in (first, second, third)] == [2, 1, None]


def test_rows_outside_the_slice_are_refused(spark, warehouse):
    with pytest.raises(PySparkException, match="(?i)replaceWhere|does not conform"):
        warehouse.replace_slice(QUARANTINE, quarantined(spark, NEXT, "a"), "run", nights=[NIGHT], survey="ztf")
    assert members(warehouse, NEXT) == []


def test_a_slice_cannot_carry_sql(spark, warehouse):
    with pytest.raises(ContractError, match="letters, digits"):
        warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT), "run", nights=[NIGHT], survey="ztf' OR '1'='1")


def test_a_frame_that_breaks_the_contract_is_told_every_column(spark, warehouse):
    bad = quarantined(spark, NIGHT, "a").drop("reason").withColumn("n_bytes", F.lit("many"))
    with pytest.raises(ContractError) as error:
        warehouse.append(QUARANTINE, bad, "run")
    assert "n_bytes: expected bigint, found string" in str(error.value)
    assert "reason: expected string, found no such column" in str(error.value)


def test_checks_are_enforced_by_the_table(spark, warehouse):
    row = dict.fromkeys(SCORES.names) | {"survey": "ztf", "object_id": "a", "night": NIGHT, "model_version": "m", "status": "scored"}
    too_probable = spark.createDataFrame([tuple((row | {"p_class": 1.5})[n] for n in SCORES.names)], SCORES.spark_schema())
    with pytest.raises((PySparkException, Py4JJavaError), match="(?i)constraint"):
        warehouse.append(SCORES, too_probable, "run")


def test_merge_updates_what_is_there_and_inserts_what_is_not(spark, warehouse):
    def label(object_id, text):
        return ("ztf", object_id, "test", NIGHT, text, None, 1.0)

    def frame(*rows):
        return spark.createDataFrame(rows, LABELS.spark_schema())

    warehouse.merge_by_key(LABELS, frame(label("a", "SN"), label("b", "AGN")), "run1")
    for _ in range(2):
        warehouse.merge_by_key(LABELS, frame(label("b", "QSO"), label("c", "RRL")), "run2")
    found = {row["object_id"]: row["label"] for row in warehouse.read(LABELS).collect()}
    assert found == {"a": "SN", "b": "QSO", "c": "RRL"}


def test_the_tables_history_names_the_run(spark, warehouse):
    warehouse.append(QUARANTINE, quarantined(spark, NIGHT, "a"), "run-42")
    history = spark.sql(f"DESCRIBE HISTORY {warehouse.identifier(QUARANTINE)}").first()
    assert history["userMetadata"] == "run-42"


def test_column_comments_carry_units(spark, warehouse):
    warehouse.create(SCORES)
    comments = {r["col_name"]: r["comment"] for r in spark.sql(f"DESCRIBE {warehouse.identifier(SCORES)}").collect()}
    assert comments["ra"] == "[deg] Right ascension, J2000"


def test_a_table_of_another_version_is_refused(spark, warehouse, settings):
    warehouse.create(LABELS)
    spark.sql(f"ALTER TABLE {warehouse.identifier(LABELS)} SET TBLPROPERTIES ('deeprubin.contractVersion' = '99')")
    with pytest.raises(ContractError, match="expected contract version 1, found 99"):
        Warehouse(spark, settings.warehouse).read(LABELS)


def test_a_creation_that_was_interrupted_is_finished(spark, tmp_path):
    warehouse = Warehouse(spark, WarehouseSettings(path=str(tmp_path)))
    spark.sql(f"CREATE TABLE {warehouse.identifier(SCORES)} ({SCORES.ddl()}) USING delta PARTITIONED BY (survey, night)")
    warehouse.create(SCORES)
    properties = spark.sql(f"DESCRIBE DETAIL {warehouse.identifier(SCORES)}").first()["properties"]
    assert set(properties) >= {"delta.constraints.probability", "delta.constraints.scored_or_why_not", "deeprubin.contractVersion"}


@pytest.mark.parametrize("left", [(), (".00000000000000000000.json.3f9c1e.tmp",)], ids=["no log entry", "half a log entry"])
def test_a_creation_that_was_killed_before_its_first_commit_is_made_anew(spark, tmp_path, left):
    warehouse = Warehouse(spark, WarehouseSettings(path=str(tmp_path)))
    log = tmp_path / "quarantine" / "_delta_log"
    log.mkdir(parents=True)
    for name in left:
        (log / name).write_text('{"commitInfo"')
    assert not warehouse.exists(QUARANTINE)
    warehouse.append(QUARANTINE, quarantined(spark, NIGHT, "a"), "run")
    assert members(warehouse, NIGHT) == ["a"]


def test_a_warehouse_that_cannot_be_written_is_a_configuration_error(spark, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(ConfigError, match="warehouse.path"):
        Warehouse(spark, WarehouseSettings(path=str(tmp_path / "file")))


def test_a_lock_held_too_long_asks_to_try_again(spark, tmp_path):
    warehouse = Warehouse(spark, WarehouseSettings(path=str(tmp_path), lock_timeout_s=0.5))
    warehouse.create(QUARANTINE)
    ready = multiprocessing.get_context("spawn").Event()
    holder = multiprocessing.get_context("spawn").Process(target=hold, args=(str(tmp_path / ".locks" / "quarantine.lock"), ready))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(RetryableError, match="try again"):
        warehouse.append(QUARANTINE, quarantined(spark, NIGHT, "a"), "run")
    holder.terminate()
    holder.join()
    warehouse.append(QUARANTINE, quarantined(spark, NIGHT, "a"), "run")


def hold(path, ready):
    with FileLock(path):
        ready.set()
        time.sleep(60)


def test_every_run_leaves_a_row_whether_it_ended_well_or_not(new_run, warehouse):
    with runs.record(new_run("good", NIGHT)) as run:
        run.counts["alerts"] = 3
    with pytest.raises(ConfigError), runs.record(new_run("bad", NIGHT)):
        raise ConfigError("no")
    rows = {row["job"]: row for row in warehouse.read(RUNS).collect()}
    assert (rows["good"]["status"], rows["good"]["exit_code"], rows["good"]["counts"]) == ("done", 0, {"alerts": 3})
    assert (rows["bad"]["status"], rows["bad"]["exit_code"], rows["bad"]["message"]) == ("failed", 78, "ConfigError: no")


def test_late_night_marks_later_scores_stale(new_run, warehouse):
    for job, night in [("build_lightcurves", NIGHT), ("build_lightcurves", NEXT), ("extract_features", NEXT)]:
        with runs.record(new_run(job, night)):
            pass
    assert runs.stale_nights(warehouse, "ztf") == ()
    with runs.record(new_run("build_lightcurves", NIGHT)):
        pass
    assert runs.stale_nights(warehouse, "ztf") == (NEXT,)
    with runs.record(new_run("extract_features", NEXT)):
        pass
    assert runs.stale_nights(warehouse, "ztf") == ()


def test_sql_sees_the_warehouse_opened_last(spark, warehouse, empty_warehouse):
    warehouse.replace_slice(QUARANTINE, quarantined(spark, NIGHT, "a", "b"), "run1", nights=[NIGHT], survey="ztf")
    empty = Warehouse(spark, WarehouseSettings(path=str(empty_warehouse)))
    try:
        empty.register([QUARANTINE])
        assert spark.sql("SELECT * FROM quarantine").count() == 0
        warehouse.register([QUARANTINE])
        assert spark.sql("SELECT * FROM quarantine").count() == 2
        empty.register([QUARANTINE])
        assert spark.sql("SELECT * FROM quarantine").count() == 0
        assert warehouse.read(QUARANTINE).count() == 2, "only the name is forgotten"
    finally:
        spark.sql("DROP TABLE IF EXISTS quarantine")
