"""A night's archive becomes rows, every packet is accounted for, and running it again changes nothing.

The tests share one warehouse, as nights do: a run replaces what an earlier one left of its night.
Damage of every kind is in tests/unit/ingestion.
"""

from __future__ import annotations

import csv
import datetime as dt
import shutil

import pytest
from deeprubin_spark.jobs import ingest_archive
from pyspark.sql import functions as F

from deeprubin_spark.schemas import ALERTS_ZTF, CUTOUTS, QUARANTINE, RUNS
from deeprubin_spark.tables import Warehouse
from tests.conftest import places, settings_at
from tests.unit.ingestion.ztf_packets import NIGHT_3_0, ZTF, ZTF_ARCHIVE, packets, rewritten, tar_gz

NIGHT = "2018-08-19"
PACKETS = packets(NIGHT_3_0)
SAMPLE = next(iter(PACKETS.values()))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("nights")


@pytest.fixture(scope="module")
def warehouse(spark, place):
    return Warehouse(spark, settings_at(place).warehouse)


@pytest.fixture
def ingest(spark, place):
    """A function that runs the job and returns its exit code."""

    def run(*arguments: str, archive=None, night: str = NIGHT) -> int:
        which = ["--nights" if ":" in night else "--night", night]
        where = ["--archive", str(archive)] if archive else []
        return ingest_archive.main([*which, *where, *(f"--set={value}" for value in places(place)), *arguments])

    return run


@pytest.fixture
def ledger(warehouse):
    """A function that returns the counts of the latest run."""
    return lambda: dict(warehouse.read(RUNS).orderBy(F.desc("started_at")).select("counts").first()["counts"])


def archive_of(tmp_path, members, name="ztf_public_20180819.tar.gz"):
    folder = tmp_path / "archives"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(members if isinstance(members, bytes) else tar_gz(members))
    return path


def content(warehouse):
    table = ALERTS_ZTF
    columns = [F.to_json(F.struct(name)).alias(name) if name in ("prv_candidates", "fp_hists") else F.col(name) for name in table.names]
    return sorted(map(str, alerts(warehouse).select(*columns).collect()))


def alerts(warehouse, night=NIGHT):
    return warehouse.read(ALERTS_ZTF, nights=[dt.date.fromisoformat(night)])


def bad(warehouse, night=NIGHT):
    return warehouse.read(QUARANTINE, nights=[dt.date.fromisoformat(night)]).collect()


def damages(warehouse):
    return [(row["member"], row["reason"]) for row in bad(warehouse)]


def test_all_carried_nights_in_one_run_are_accounted_for_packet_by_packet(ingest, ledger, warehouse):
    assert ingest(night="2018-06-01:2025-03-02") == 0
    with (ZTF / "manifest.csv").open() as file:
        packets_sent = {int(row["candid"]): row for row in csv.DictReader(file) if row["night"] in carried_nights()}
    assert ledger() == {
        "members": len(packets_sent),
        "kept": len(packets_sent),
        "duplicates": 0,
        "excluded": 0,
        "quarantined": 0,
        "other_night": 0,
    }
    nights = [dt.datetime.strptime(night, "%Y%m%d").date() for night in carried_nights()]
    kept = warehouse.read(ALERTS_ZTF, nights=nights).select("candid", "objectId", "night", "schemavsn").collect()
    assert len(kept) == len(packets_sent)
    assert {row["candid"] for row in kept} == set(packets_sent)
    for row in kept:
        sent = packets_sent[row["candid"]]
        assert (row["objectId"], f"{row['night']:%Y%m%d}", row["schemavsn"] or "none") == (
            sent["objectId"],
            sent["night"],
            sent["schemavsn"],
        )


def carried_nights():
    return {path.name[11:19] for path in ZTF_ARCHIVE.glob("*.tar.gz")}


def test_a_night_ingested_twice_is_the_same_night(ingest, warehouse):
    assert ingest() == 0
    once, runs = content(warehouse), warehouse.read(RUNS).count()
    assert len(once) == 30
    assert ingest() == 0
    assert content(warehouse) == once
    assert warehouse.read(RUNS).count() == runs + 1


def test_malformed_packets_lie_in_quarantine_with_a_reason_and_stop_the_night(ingest, ledger, warehouse, capsys):
    assert ingest(archive=ZTF / "malformed") == 65
    assert ledger() == {"members": 6, "kept": 0, "duplicates": 0, "excluded": 0, "quarantined": 6, "other_night": 0}
    rows = bad(warehouse)
    assert {row["member"] for row in rows} == {path.name for path in (ZTF / "malformed").iterdir()}
    assert {row["reason"] for row in rows} == {"not_avro", "decode_failed"}
    assert all(len(row["payload"]) == row["n_bytes"] for row in rows)
    message = capsys.readouterr().err
    assert "6 of 6 packets could not be used (limit 1.0%). First: malformed :: 1211232291015015002.avro, byte 0: not_avro" in message


def test_bad_packets_without_a_night_do_not_empty_the_night_they_are_filed_under(ingest, warehouse):
    assert ingest() == 0
    assert ingest("--set=ingest.max_bad_fraction=1", archive=ZTF / "malformed") == 0
    assert (alerts(warehouse).count(), len(bad(warehouse))) == (30, 6)


def test_a_few_bad_packets_pass_and_are_replaced_when_the_archive_is_repaired(ingest, ledger, warehouse, tmp_path):
    path = archive_of(tmp_path, PACKETS | {"bad.avro": b"<html>"})
    assert ingest("--set=ingest.max_bad_fraction=0.05", archive=path) == 0
    assert (ledger()["kept"], damages(warehouse)) == (30, [("bad.avro", "not_avro")])
    archive_of(tmp_path, PACKETS)
    assert ingest(archive=path) == 0
    assert (ledger()["kept"], damages(warehouse)) == (30, [])


def test_a_night_without_bad_packets_leaves_the_quarantine_as_it_is(ingest, warehouse):
    assert ingest() == 0
    before = warehouse.version(QUARANTINE)
    assert ingest() == 0
    assert warehouse.version(QUARANTINE) == before


def test_of_a_truncated_archive_the_readable_packets_stay_and_the_job_says_65(ingest, warehouse, tmp_path, capsys):
    whole = NIGHT_3_0.read_bytes()
    path = archive_of(tmp_path, whole[: len(whole) // 2])
    assert ingest("--set=ingest.max_bad_fraction=1", archive=path) == 65
    assert 12 < alerts(warehouse).count() < 18
    (row,) = bad(warehouse)
    assert (row["source"], row["member"], row["reason"]) == (path.name, "", "truncated_archive")
    assert row["byte_offset"] > len(whole) / 2
    assert f"1 damaged archive. First: {path.name}, byte {row['byte_offset']}: truncated_archive" in capsys.readouterr().err


def test_files_that_are_no_archive_are_damaged_ones(ingest, warehouse, tmp_path):
    archive_of(tmp_path, b"")
    path = archive_of(tmp_path, b"<html>404</html>", "ztf_public_20180819_b.tar.gz")
    assert ingest(archive=path.parent) == 65
    assert sorted(damages(warehouse)) == [("", "not_an_archive"), ("", "truncated_archive")]


def test_an_empty_archive_is_a_night_without_alerts(ingest, ledger, warehouse, tmp_path):
    assert ingest() == 0
    assert alerts(warehouse).count() == 30
    assert ingest(archive=archive_of(tmp_path, {})) == 0
    assert set(ledger().values()) == {0}
    assert alerts(warehouse).count() == 0


def test_an_archive_whose_name_contradicts_its_jd_is_refused(ingest, ledger, warehouse, tmp_path, capsys):
    path = archive_of(tmp_path, NIGHT_3_0.read_bytes(), "ztf_public_20180820.tar.gz")
    assert ingest("--set=ingest.max_bad_fraction=1", archive=path, night="2018-08-20") == 65
    assert (ledger()["quarantined"], alerts(warehouse, "2018-08-20").count()) == (30, 0)
    assert "30 packets are not of the night in their archive's name" in capsys.readouterr().err


def test_a_checksum_that_does_not_match_stops_the_night_and_keeps_its_rows(ingest, warehouse, tmp_path):
    path = archive_of(tmp_path, PACKETS)
    (path.parent / "MD5SUMS").write_text(f"{'f' * 32}  {path.name}\n")
    assert ingest(archive=path) == 65
    assert (alerts(warehouse).count(), damages(warehouse)) == (30, [("", "wrong_checksum")])


def test_other_programmes_are_excluded_and_counted(ingest, ledger, tmp_path):
    path = archive_of(tmp_path, PACKETS | {"2.avro": rewritten(SAMPLE, programid=2, candid=2)})
    assert ingest(archive=path) == 0
    assert ledger() == {"members": 31, "kept": 30, "duplicates": 0, "excluded": 1, "quarantined": 0, "other_night": 0}


def test_of_an_alert_sent_twice_the_first_is_kept(ingest, ledger, warehouse, tmp_path):
    again = rewritten(SAMPLE, magpsf=15.0)
    path = archive_of(tmp_path, PACKETS | {"z.avro": again})
    archive_of(tmp_path, PACKETS, "ztf_public_20180819_again.tar.gz")
    assert ingest(archive=path.parent) == 0
    assert ledger() == {"members": 61, "kept": 30, "duplicates": 31, "excluded": 0, "quarantined": 0, "other_night": 0}
    rows = alerts(warehouse).select("source", "magpsf").collect()
    assert {row["source"] for row in rows} == {path.name}
    assert 15.0 not in {row["magpsf"] for row in rows}


def test_names_in_an_archive_are_labels(ingest, warehouse, tmp_path):
    names = ["../../escaped.avro", "/tmp/deeprubin_absolute.avro"]
    before = set(tmp_path.iterdir())
    path = archive_of(tmp_path, {name: rewritten(SAMPLE, candid=i) for i, name in enumerate(names)})
    assert ingest(archive=path) == 0
    assert {row["member"] for row in alerts(warehouse).collect()} == set(names)
    assert {p.name for p in set(tmp_path.iterdir()) - before} == {"archives"}
    assert not list(tmp_path.parent.rglob("escaped.avro"))


def test_stamps_are_stored_where_asked_for(ingest, warehouse):
    assert ingest("--set=ingest.cutouts=keep") == 0
    rows = warehouse.read(CUTOUTS).collect()
    assert {row["source_id"] for row in rows} == {int(name.removesuffix(".avro")) for name in PACKETS}
    assert all(row["science"].startswith(b"\x1f\x8b") for row in rows)


def test_single_packets_take_their_night_from_jd(ingest, ledger, warehouse):
    assert ingest(archive=ZTF / "reencoded", night="2023-10-18") == 0
    assert ledger() == {"members": 10, "kept": 8, "duplicates": 0, "excluded": 0, "quarantined": 0, "other_night": 2}
    assert alerts(warehouse, "2023-10-18").count() == 8


def test_nothing_to_read_is_66(ingest, tmp_path, capsys):
    assert ingest(archive=tmp_path / "missing.tar.gz") == 66
    assert ingest(archive=ZTF_ARCHIVE, night="2018-08-20:2018-08-22") == 66
    assert ingest(archive=ZTF / "reencoded", night="2018-08-20") == 66
    assert "none of the 10 packets in reencoded is of the nights" in capsys.readouterr().err


def test_a_range_skips_the_nights_without_an_archive(ingest, ledger):
    assert ingest(night="2018-08-18:2018-08-20") == 0
    assert ledger()["kept"] == 30


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(ingest, tmp_path, capsys):
    assert ingest("--dry-run", f"--set=warehouse.path={tmp_path / 'warehouse'}") == 0
    said = capsys.readouterr().err
    assert f"would read {NIGHT_3_0}: archive, {NIGHT_3_0.stat().st_size:,} bytes, night 2018-08-19" in said
    assert "would replace these nights in alerts_ztf, quarantine" in said
    assert not (tmp_path / "warehouse" / "alerts_ztf").exists()


def test_two_folders_of_one_night_are_one_night(ingest, ledger, tmp_path):
    folder = tmp_path / "extracted"
    folder.mkdir()
    names = sorted(PACKETS)
    for name in names[:10]:
        (folder / name).write_bytes(PACKETS[name])
    shutil.copy(NIGHT_3_0, folder)
    assert ingest(archive=folder) == 0
    assert (ledger()["members"], ledger()["kept"], ledger()["duplicates"]) == (40, 30, 10)
