"""What becomes of each packet, without a cluster."""

from __future__ import annotations

import collections
import datetime as dt
import io

import fastavro
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from deeprubin_spark.ingestion import reading
from deeprubin_spark.ingestion.archive import sources
from deeprubin_spark.ingestion.packets import ALERT, ROW_ARROW, Wanted, read_packets, unpack
from tests.unit.ingestion.ztf_packets import NIGHT_3_0, ZTF, ZTF_ARCHIVE, packets, rewritten, tar_gz

NIGHT = dt.date(2018, 8, 19)
PACKETS = packets(NIGHT_3_0)
SAMPLE = next(iter(PACKETS.values()))


def rows_of(*paths, nights=(NIGHT,), programids=(1,), cutouts="drop", tasks=None):
    tasks = tasks or [sources([str(path) for path in paths], nights)]
    wanted = Wanted(frozenset(nights), nights[0], frozenset(programids), cutouts)
    batches = list(read_packets(tasks, wanted)(iter([pa.record_batch({"id": list(range(len(tasks)))})])))
    assert all(batch.schema == ROW_ARROW and batch.num_rows <= 512 for batch in batches)
    rows = pa.Table.from_batches(batches, ROW_ARROW)
    packed = pa.record_batch({"alerts": rows.filter(pc.equal(rows["outcome"], "batch"))["alerts"].combine_chunks()})
    alerts = pa.Table.from_batches(unpack([c.name for c in ALERT])([packed]), pa.schema([c.arrow_field() for c in ALERT])).to_pylist()
    kept = [row for row in rows.to_pylist() if row["outcome"] == "kept"]
    assert sorted(map(about, kept)) == sorted(map(about, alerts))
    return [row | {"outcome": "kept"} for row in alerts] + [row for row in rows.to_pylist() if row["outcome"] not in ("batch", "kept")]


def about(row):
    return [row[name] for name in ("ordinal", "sequence", "night", "candid")]


def outcomes(rows):
    return collections.Counter(row["outcome"] for row in rows)


def archive_of(tmp_path, members, name="ztf_public_20180819.tar.gz"):
    path = tmp_path / name
    path.write_bytes(tar_gz(members))
    return path


def only(rows, outcome):
    (row,) = (row for row in rows if row["outcome"] == outcome)
    return row


def test_a_clean_night_is_kept_whole():
    rows = rows_of(ZTF_ARCHIVE)
    assert outcomes(rows) == {"kept": 30, "source": 1}
    assert only(rows, "source")["sequence"] == 30
    assert {row["member"] for row in rows if row["outcome"] == "kept"} == set(PACKETS)
    assert all(row["science"] is None for row in rows if row["outcome"] == "kept")


def test_other_programmes_are_excluded_unless_asked_for(tmp_path):
    path = archive_of(tmp_path, {"1.avro": SAMPLE, "2.avro": rewritten(SAMPLE, programid=2, candid=2)})
    assert outcomes(rows_of(path)) == {"kept": 1, "excluded": 1, "source": 1}
    assert outcomes(rows_of(path, programids=(1, 2))) == {"kept": 2, "source": 1}


@pytest.mark.parametrize(
    ("values", "reason", "said"),
    [
        ({"jd": float("nan")}, "missing_field", "jd"),
        ({"ra": -999.0}, "missing_field", "ra"),
        ({"fid": 7}, "bad_value", "fid: expected one of 1, 2, 3, found 7"),
        ({"dec": 91.0}, "bad_value", "dec 91.0"),
        ({"jd": 1e300}, "bad_value", "jd 1e+300"),
        ({"jd": 2458452.7}, "wrong_night", "2018-11-30"),
        ({"nid": 2**40}, "decode_failed", "a field is not what its column holds"),
    ],
)
def test_a_packet_that_fails_a_check_is_quarantined_and_its_neighbours_are_not(tmp_path, values, reason, said):
    bad = with_long_nid(values["nid"]) if "nid" in values else rewritten(SAMPLE, candid=5, **values)
    rows = rows_of(archive_of(tmp_path, {"a.avro": SAMPLE, "bad.avro": bad, "z.avro": rewritten(SAMPLE, candid=6)}))
    assert outcomes(rows) == {"kept": 2, "quarantined": 1, "source": 1}
    row = only(rows, "quarantined")
    assert (row["reason"], row["member"], row["n_bytes"], row["payload"]) == (reason, "bad.avro", len(bad), bad)
    assert said in row["detail"]
    assert row["night"] == NIGHT


def with_long_nid(value):
    """The sample, with a schema that allows a night number no column can hold."""
    reader = fastavro.reader(io.BytesIO(SAMPLE))
    record, schema = next(reader), reader.writer_schema
    candidate = next(f for f in schema["fields"] if f["name"] == "candidate")["type"]
    nid = next(f for f in candidate["fields"] if f["name"] == "nid")
    nid["type"] = ["long", "null"]
    record["candidate"]["nid"] = value
    out = io.BytesIO()
    fastavro.writer(out, schema, [record])
    return out.getvalue()


def test_the_night_of_single_packets_is_in_their_jd():
    rows = rows_of(ZTF / "reencoded", nights=(dt.date(2023, 10, 18),))
    assert outcomes(rows) == {"kept": 8, "other_night": 2, "source": 1}
    assert {row["night"] for row in rows if row["outcome"] == "other_night"} == {dt.date(2023, 10, 19)}


def test_malformed_packets_keep_their_bytes():
    rows = rows_of(ZTF / "malformed")
    assert outcomes(rows) == {"quarantined": 6, "source": 1}
    for row in rows[:-1]:
        assert row["payload"] == (ZTF / "malformed" / row["member"]).read_bytes()


def test_a_checksum_that_does_not_match_is_told_once(tmp_path):
    path = archive_of(tmp_path, PACKETS)
    (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {path.name}\n")
    rows = rows_of(path)
    assert outcomes(rows) == {"kept": 30, "archive": 1, "source": 1}
    assert only(rows, "archive")["reason"] == "wrong_checksum"
    path.write_bytes(path.read_bytes()[:-3])
    row = only(rows_of(path), "archive")
    assert row["reason"] == "truncated_archive"
    assert "MD5SUMS expects" in row["detail"]


def test_stamps_are_kept_only_if_asked_for():
    rows = [row for row in rows_of(ZTF_ARCHIVE, cutouts="keep") if row["outcome"] == "kept"]
    assert all(row[stamp].startswith(b"\x1f\x8b") for row in rows for stamp in ("science", "template", "difference"))


def test_an_archive_of_a_thousand_copies_comes_in_bounded_batches(tmp_path):
    path = archive_of(tmp_path, {f"{i}.avro": SAMPLE for i in range(400)})
    assert outcomes(rows_of(path)) == {"kept": 400, "source": 1}


def test_a_container_larger_than_a_piece_is_read_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_PIECE", 100_000)
    blocks = container_of(range(40))
    path = tmp_path / "many.avro"
    path.write_bytes(b"".join(blocks))
    rows = rows_of(path)
    assert outcomes(rows) == {"kept": 40, "source": 1}
    assert [row["candid"] for row in rows[:-1]] == list(range(40))


def test_a_damaged_block_is_quarantined_and_the_others_are_not(tmp_path, monkeypatch):
    blocks = container_of(range(20))
    damaged = bytearray(blocks[5])
    damaged[9:12] = b"\xff" * 3
    path = tmp_path / "many.avro"
    path.write_bytes(b"".join([*blocks[:5], bytes(damaged), *blocks[6:]]))
    for piece in (1 << 22, 100_000):
        monkeypatch.setattr(reading, "_PIECE", piece)
        rows = rows_of(path)
        assert outcomes(rows) == {"kept": 19, "quarantined": 1, "source": 1}
        row = only(rows, "quarantined")
        assert row["member"].startswith("many.avro, byte ")
        assert int(row["member"].split()[-1]) == len(b"".join(blocks[:5])) + 4
        assert only(rows, "source")["sequence"] == 20


def test_of_a_large_container_that_is_cut_the_whole_blocks_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_PIECE", 100_000)
    blocks = container_of(range(20))
    path = tmp_path / "many.avro"
    path.write_bytes(b"".join(blocks)[:-30])
    rows = rows_of(path)
    assert outcomes(rows) == {"kept": 19, "quarantined": 1, "source": 1}
    assert only(rows, "quarantined")["reason"] == "decode_failed"


def container_of(candids):
    """The header and the blocks of a container with one alert in each block; the header is the begin of the first."""
    first, *others = (rewritten(SAMPLE, candid=i) for i in candids)
    return [first, *(packet[packet.index(packet[-16:]) + 16 : -16] + first[-16:] for packet in others)]
