"""Packets are decoded to exactly what fastavro finds in them, and damaged ones say where they are damaged."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprubin_spark import arrow
from deeprubin_spark.ingestion.columns import MISSING, MISSING_FORCED, WANTED, WANTED_STAMPS, Misfits, alert_columns, cutout_columns
from deeprubin_spark.ingestion.container import BadPacketError
from deeprubin_spark.ingestion.decode import Bad, Decoder
from deeprubin_spark.ingestion.reading import one_packet
from deeprubin_spark.schemas.alerts import CANDIDATE, FORCED, HISTORY
from tests.unit.ingestion.ztf_packets import NIGHT_3_0, ZTF, ZTF_ARCHIVE, by_fastavro, packets, rewritten

# One night for each writer schema among the carried ones, and the number of candidate fields it has.
VERSIONS = {
    "20180601": (None, 82),
    "20180819": ("3.0", 100),
    "20181101": ("3.1", 101),
    "20181129": ("3.2", 101),
    "20190702": ("3.3", 103),
    "20200202": ("3.3", 103),
    "20201014": ("3.3", 103),
    "20231012": ("4.01", 103),
    "20240715": ("4.02", 103),
}
SAMPLE = next(iter(packets(NIGHT_3_0).values()))


def decoded(contents, wanted=None):
    """All packets as one Decoded. BadPacketError for the first one that is bad."""
    decoder = Decoder(wanted)
    for i, packet in enumerate(contents):
        for bad in decoder.containers(one_packet(packet, f"{i}.avro", i)):
            assert isinstance(bad, Bad)
            raise BadPacketError(bad.reason, bad.detail)
    (found,) = decoder.flush()
    return found


def decode(packet):
    """Every field of the packet's alerts, as dicts."""
    found = decoded([packet])
    return arrow.decoded(found.columns, found.columns.program.root).to_pylist()


def columns_of(contents):
    found = decoded(contents, WANTED + WANTED_STAMPS)
    misfits = Misfits(found.n_rows)
    columns = alert_columns(found, misfits) | cutout_columns(found)
    assert not misfits.rows
    return {name: column.to_pylist() for name, column in columns.items()}


def expected(value, missing):
    """What the table holds for a value of the packet."""
    absent = value is None or value == missing or value == "null" or (isinstance(value, float) and math.isnan(value))
    return None if absent else value


def night(date):
    return list(packets(ZTF_ARCHIVE / f"ztf_public_{date}.tar.gz").values())[:6]


@pytest.mark.parametrize("date", VERSIONS)
def test_every_schema_version_equals_fastavro_field_by_field(date):
    raw = [by_fastavro(packet) for packet in night(date)]
    columns = columns_of(night(date))
    version, n_fields = VERSIONS[date]
    for i, alert in enumerate(raw):
        assert alert.get("schemavsn") == columns["schemavsn"][i] == version
        assert len(alert["candidate"]) == n_fields
        assert {f.name for f in CANDIDATE} | {"candid"} >= set(alert["candidate"])
        assert columns["candid"][i] == alert["candid"]
        assert columns["objectId"][i] == alert["objectId"]
        for field in CANDIDATE:
            assert columns[field.name][i] == expected(alert["candidate"].get(field.name), MISSING), field.name
        assert_history(columns["prv_candidates"][i], alert.get("prv_candidates"), HISTORY, MISSING)
        assert_history(columns["fp_hists"][i], alert.get("fp_hists"), FORCED, MISSING_FORCED)


def assert_history(found, history, fields, missing):
    if history is None:
        assert found is None
        return
    if missing == MISSING:
        history = sorted(history, key=lambda entry: entry["jd"])
    assert found == [{f.name: expected(entry.get(f.name), missing) for f in fields} for entry in history]


def as_stored(alert):
    """With a number of microseconds for each time that fastavro makes of one."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    return {k: (v - epoch) // dt.timedelta(microseconds=1) if isinstance(v, dt.datetime) else v for k, v in alert.items()}


@pytest.mark.parametrize("name", sorted(path.name for path in (ZTF / "reencoded").glob("*.avro")))
def test_packets_rewritten_by_spark_are_alerts_too(name):
    packet = (ZTF / "reencoded" / name).read_bytes()
    (alert,) = decode(packet)
    assert alert == as_stored(by_fastavro(packet))
    assert columns_of([packet])["candid"] == [int(name.removesuffix(".avro"))]


def test_numbers_and_words_that_mean_missing_are_null():
    packet = rewritten(SAMPLE, ssdistnr=-999.0, ssnamenr="null", objectidps1=-999, rb=math.nan, isdiffpos="f", nneg=0)
    columns = {name: column[0] for name, column in columns_of([packet]).items()}
    assert [columns[name] for name in ("ssdistnr", "ssnamenr", "objectidps1", "rb")] == [None] * 4
    assert (columns["isdiffpos"], columns["nneg"]) == ("f", 0)


def test_a_packet_without_cutouts_has_none():
    without = columns_of(night("20201014")[:1])
    assert [without[name] for name in ("science", "template", "difference")] == [[None]] * 3
    (science,) = columns_of([SAMPLE])["science"]
    assert science == by_fastavro(SAMPLE)["cutoutScience"]["stampData"]
    assert science.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_container_may_hold_many_alerts(codec):
    assert decode(rewritten(SAMPLE, codec=codec, copies=3)) == [by_fastavro(SAMPLE)] * 3


MALFORMED = {
    "1211232291015015002.avro": ("not_avro", "<!DOCTYPE HTML"),
    "516401801315010009.avro": ("decode_failed", "sync marker"),
    "516434762915010006.avro": ("decode_failed", "sync marker"),
    "516442330015015017.avro": ("decode_failed", "sync marker"),
    "516442805615015004.avro": ("decode_failed", "sync marker"),
    "516476004815015005.avro": ("decode_failed", "sync marker"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_packets_say_what_is_wrong_and_where(name):
    reason, said = MALFORMED[name]
    with pytest.raises(BadPacketError) as error:
        decode((ZTF / "malformed" / name).read_bytes())
    assert error.value.reason == reason
    assert said in error.value.detail
    assert "byte " in error.value.detail


def test_a_codec_we_do_not_read_is_named():
    packet = SAMPLE.replace(b"\x08null", b"\x08lzma", 1)
    with pytest.raises(BadPacketError, match="lzma"):
        decode(packet)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1))
def test_a_cut_packet_is_refused_as_such(cut):
    # Cut exactly between header and first block it is a valid file of no alerts.
    try:
        assert decode(SAMPLE[:cut]) == []
    except BadPacketError as error:
        assert error.reason == ("not_avro" if cut < 4 else "decode_failed")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1), st.integers(1, 255))
def test_a_flipped_byte_gives_an_alert_or_a_reason_and_nothing_else(position, flip):
    damaged = bytearray(SAMPLE)
    damaged[position] ^= flip
    try:
        assert isinstance(decode(bytes(damaged)), list)
    except BadPacketError as error:
        assert error.detail


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_never_an_alert(garbage):
    for packet in (garbage, b"Obj\x01" + garbage):
        with pytest.raises(BadPacketError):
            decode(packet)
