"""Replayed packets decode to what the sky says, tell one story of a measurement everywhere, and are for the rest the real packet's bytes."""

from __future__ import annotations

import datetime as dt
import io
import json
import tarfile

import fastavro
import numpy as np
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.errors import NoInputError, UsageError
from deeprubin_spark.ingestion import replay_files, replay_packets, replay_sky, replay_templates
from deeprubin_spark.ingestion.archive import night_of_name
from deeprubin_spark.ingestion.inflate import ArchiveBytes
from deeprubin_spark.ingestion.replay_sky import NEW_OBJECTS, Sky
from deeprubin_spark.ingestion.tar import members
from tests.conftest import ZTF_ARCHIVE
from tests.unit.ingestion.ztf_packets import by_fastavro, packets

NIGHT = dt.date(2026, 11, 20)
SKY = Sky(seed=1, n_known=100_000, history_nights=40, first_night=NIGHT)
ALERTS = 130
ARCHIVES = {"3.0": "ztf_public_20180819.tar.gz", "3.3": "ztf_public_20200202.tar.gz", "4.02": "ztf_public_20240715.tar.gz"}
OWN = {
    "jd",
    "fid",
    "pid",
    "programid",
    "candid",
    "isdiffpos",
    "nid",
    "rcid",
    "field",
    "diffmaglim",
    "ra",
    "dec",
    "magpsf",
    "sigmapsf",
    "magnr",
    "rb",
}


def a_night(form: str, templates: str, out) -> replay_files.Night:
    return replay_files.Night(SKY, NIGHT, ALERTS, 0.85, form, templates, str(out))


@pytest.fixture(scope="module", params=ARCHIVES.values(), ids=ARCHIVES.keys())
def templates(request):
    return replay_templates.load(str(ZTF_ARCHIVE / request.param))


@pytest.fixture(scope="module")
def real(templates):
    """The real packets of the templates' schema."""
    every = [packet for name in ARCHIVES.values() for packet in packets(ZTF_ARCHIVE / name).values()]
    return [by_fastavro(packet) for packet in every if templates.schema.encode() in packet]


@pytest.fixture(scope="module")
def alerts():
    touched = replay_sky.touched(SKY, NIGHT, ALERTS, 0.85, 0, replay_sky.n_touched(ALERTS))
    return replay_packets.alerts_of(SKY, NIGHT, touched)


@pytest.fixture(scope="module")
def decoded(templates, alerts):
    schema = fastavro.parse_schema(json.loads(templates.schema))
    made = []
    for payload in replay_packets.payloads(replay_packets.bare(alerts, templates)):
        stream = io.BytesIO(payload.as_py())
        made.append(fastavro.schemaless_reader(stream, schema, None))
        assert stream.tell() == len(payload.as_py()), "not a byte is left"
    return made


def is_value(record: dict, visits, at: tuple) -> None:
    """The record holds exactly what the visit says."""
    for name in ("jd", "fid", "diffmaglim"):
        assert record[name] == getattr(visits, name)[at]
    assert record["nid"] == visits.day[at] - 57754
    if record["magpsf"] is None:
        assert not visits.is_detection[at]
        assert record["candid"] is record["isdiffpos"] is record["ra"] is record["rb"] is None
        return
    for name in ("candid", "ra", "dec", "magpsf", "sigmapsf", "rb", "fwhm", "elong", "nbad"):
        assert record[name] == getattr(visits, name)[at]
    assert record["isdiffpos"] == ("t" if visits.flux[at] > 0 else "f")


def test_every_packet_says_what_the_sky_says(decoded, alerts):
    for i, packet in enumerate(decoded):
        row, column = alerts.row[i], alerts.column[i]
        is_value(packet["candidate"], alerts.visits, (row, column))
        assert packet["candid"] == packet["candidate"]["candid"] == alerts.candid[i]
        assert packet["objectId"].encode() == alerts.of.name[row].tobytes()
        assert packet["candidate"]["programid"] == 1
        columns = alerts.entry_column[alerts.entry_alert == i]
        assert len(packet["prv_candidates"]) == len(columns)
        for entry, at in zip(packet["prv_candidates"], columns, strict=True):
            is_value(entry, alerts.visits, (row, at))


def test_histories_are_the_thirty_days_before_in_order(decoded):
    for packet in decoded:
        times = [entry["jd"] for entry in packet["prv_candidates"]]
        assert times == sorted(times) and 15 <= len(times) <= 22
        assert packet["candidate"]["jd"] - 30.0 < times[0] and times[-1] < packet["candidate"]["jd"]


def test_the_second_packet_of_an_object_tells_the_first_ones_detection(decoded):
    by_object: dict[str, list[dict]] = {}
    for packet in decoded:
        by_object.setdefault(packet["objectId"], []).append(packet)
    pairs = [both for both in by_object.values() if len(both) == 2]
    assert len(pairs) == ALERTS * 4 // 17
    for first, second in pairs:
        copy = second["prv_candidates"][-1]
        same = {name for name in OWN if copy[name] == first["candidate"][name]}
        assert same == OWN


def test_new_objects_have_nothing_but_limits_before(decoded, alerts):
    new = alerts.of.number[alerts.row] >= NEW_OBJECTS
    assert 0.1 <= new.mean() <= 0.2
    for packet in np.array(decoded, object)[new]:
        before = [entry for entry in packet["prv_candidates"] if entry["jd"] < replay_sky.mjd_of(NIGHT) + 2400000.5]
        assert before and all(entry["magpsf"] is None for entry in before)


def test_everything_else_is_a_real_packets(decoded, real):
    kept = ("chipsf", "sharpnr", "sky", "classtar", "objectidps2", "rfid", "nmatches", "zpmed", "maggaia", "pdiffimfilename", "rbversion")
    there = {tuple(packet["candidate"][name] for name in kept) for packet in real}
    assert {tuple(packet["candidate"][name] for name in kept) for packet in decoded} <= there
    assert {packet.get("schemavsn") for packet in decoded} == {packet.get("schemavsn") for packet in real}
    assert all(packet[stamp] is None for packet in decoded for stamp in ("cutoutScience", "cutoutTemplate", "cutoutDifference"))


def test_forced_photometry_has_the_same_exposures_and_fluxes(decoded, alerts, templates):
    if templates.middle < 0:
        assert all("fp_hists" not in packet for packet in decoded)
        return
    for i, packet in enumerate(decoded):
        assert [entry["jd"] for entry in packet["fp_hists"]] == [entry["jd"] for entry in packet["prv_candidates"]]
        columns = alerts.entry_column[alerts.entry_alert == i]
        scale = 10.0 ** ((31.4 - packet["fp_hists"][0]["magzpsci"]) / 2.5)
        flux = np.array([entry["forcediffimflux"] for entry in packet["fp_hists"]]) * scale
        np.testing.assert_allclose(flux, alerts.visits.flux[alerts.row[i], columns], rtol=1e-6, atol=1e-3)
        assert {entry["procstatus"] for entry in packet["fp_hists"]} == {"0"}


def test_a_stamped_packet_is_the_bare_one_with_stamps_of_a_real_packet(decoded, templates, alerts, real):
    schema = fastavro.parse_schema(json.loads(templates.schema))
    made = replay_packets.stamped(alerts, templates)
    stamps = {packet["cutoutScience"]["stampData"] for packet in real}
    for payload, plain in zip(replay_packets.payloads(made), decoded, strict=True):
        packet = fastavro.schemaless_reader(io.BytesIO(payload.as_py()), schema, None)
        assert packet["cutoutScience"]["stampData"] in stamps
        assert {name: value for name, value in packet.items() if "cutout" not in name} == {
            k: v for k, v in plain.items() if "cutout" not in k
        }


def test_payload_files_hold_the_schema_and_the_night(tmp_path):
    night = a_night("payloads", str(ZTF_ARCHIVE / ARCHIVES["3.3"]), tmp_path)
    found = replay_files.write_file(night, 0)
    assert found["file"] == "ztf_payloads_20261120_000.parquet" and found["alerts"] == ALERTS
    file = pq.ParquetFile(tmp_path / found["file"])
    schema = fastavro.parse_schema(json.loads(file.metadata.metadata[b"avro.schema"]))
    assert file.schema_arrow.names == ["payload"]
    packets_read = [fastavro.schemaless_reader(io.BytesIO(value.as_py()), schema, None) for value in file.read()["payload"]]
    assert len({packet["candid"] for packet in packets_read}) == ALERTS


def test_archives_are_what_the_survey_publishes(tmp_path):
    night = a_night("tar", str(ZTF_ARCHIVE / ARCHIVES["4.02"]), tmp_path)
    found = replay_files.write_file(night, 0)
    path = tmp_path / found["file"]
    assert night_of_name(path.name) == NIGHT
    with path.open("rb") as file:
        read = {member.name: member.payload for member in members(ArchiveBytes(file))}
    with tarfile.open(path) as tar:
        assert tar.getnames() == list(read) and len(read) == ALERTS
    for name, packet in read.items():
        alert = by_fastavro(packet)
        assert f"{alert['candid']}.avro" == name
        assert alert["cutoutDifference"]["stampData"].startswith(b"\x1f\x8b")
    assert path.stat().st_size / ALERTS > 40_000, "stamps do not compress away"


def test_the_same_night_again_is_the_same_bytes_and_another_replay_is_refused(tmp_path):
    night = a_night("payloads", str(ZTF_ARCHIVE / ARCHIVES["3.3"]), tmp_path)
    replay_files.check(night)
    replay_files.write_file(night, 0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replay_files.check(night)
    replay_files.write_file(night, 0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "ztf_payloads_20261120_001.parquet").touch()
    with pytest.raises(UsageError, match="another replay of 2026-11-20"):
        replay_files.check(night)


def test_a_night_without_alerts_is_a_file_without_packets(tmp_path):
    for form in replay_files.FORMS:
        night = replay_files.Night(SKY, NIGHT, 0, 0.85, form, str(ZTF_ARCHIVE / ARCHIVES["3.3"]), str(tmp_path))
        assert replay_files.write_file(night, 0)["alerts"] == 0
    assert pq.ParquetFile(tmp_path / "ztf_payloads_20261120_000.parquet").metadata.num_rows == 0
    with tarfile.open(tmp_path / "ztf_public_20261120_000.tar.gz") as tar:
        assert tar.getnames() == []


def test_a_file_that_failed_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(replay_packets, "bare", fails)
    with pytest.raises(OSError, match="disk full"):
        replay_files.write_file(a_night("payloads", str(ZTF_ARCHIVE / ARCHIVES["3.3"]), tmp_path), 0)
    assert list(tmp_path.iterdir()) == []


def test_templates_that_are_not_there_are_said(tmp_path):
    with pytest.raises(NoInputError, match="no such archive or folder"):
        replay_templates.load(str(tmp_path / "nowhere"))
    with pytest.raises(NoInputError, match="expected ZTF archives"):
        replay_templates.load(str(tmp_path))
    with pytest.raises(NoInputError, match="detections and limits in its history"):
        replay_templates.load(str(ZTF_ARCHIVE / "ztf_public_20180612.tar.gz"))
