"""A night of bare payloads holds the same alerts as its packets, in one task or in many, framed or not."""

from __future__ import annotations

import datetime as dt
import io
import json

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.ingestion import archive
from deeprubin_spark.ingestion.archive import in_tasks, sources
from tests.unit.ingestion.test_packets import only, outcomes, rows_of
from tests.unit.ingestion.ztf_packets import NIGHT_3_0, packets

NIGHT = dt.date(2018, 8, 19)
SCHEMA = json.loads(fastavro.reader(io.BytesIO(next(iter(packets(NIGHT_3_0).values())))).metadata["avro.schema"])
FRAME = b"\0\0\0\0\x2a"


def body(packet):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, next(fastavro.reader(io.BytesIO(packet))))
    return out.getvalue()


BODIES = [body(packet) for packet in packets(NIGHT_3_0).values()]


def night_of(tmp_path, bodies, name="ztf_payloads_20180819.parquet", rows_a_group=7, **metadata):
    path = tmp_path / name
    table = pa.table({"offset": range(len(bodies)), "payload": pa.array(bodies, pa.binary())})
    table = table.replace_schema_metadata({"avro.schema": json.dumps(SCHEMA)} | {key.replace("_", "."): v for key, v in metadata.items()})
    pq.write_table(table, path, row_group_size=rows_a_group)
    return path


def alerts(rows):
    places = ("ordinal", "sequence", "source", "member", "byte_offset")
    kept = [{k: v for k, v in row.items() if k not in places} for row in rows if row["outcome"] == "kept"]
    return sorted(kept, key=lambda row: row["candid"])


def test_payloads_are_the_alerts_of_their_packets(tmp_path):
    rows = rows_of(night_of(tmp_path, BODIES), cutouts="keep")
    assert outcomes(rows) == {"kept": 30, "source": 1}
    assert alerts(rows) == alerts(rows_of(NIGHT_3_0, cutouts="keep"))
    assert [row["member"] for row in rows if row["outcome"] == "kept"] == [f"row {i}" for i in range(30)]


def test_framed_payloads_are_the_same_and_other_frames_are_refused(tmp_path):
    framed = [FRAME + body for body in BODIES]
    path = night_of(tmp_path, framed, confluent_schema_id="42")
    assert alerts(rows_of(path)) == alerts(rows_of(NIGHT_3_0))
    framed[3], framed[8], framed[9] = b"\0\0\0\0\x2b" + BODIES[3], b"\0\0", b""
    rows = rows_of(night_of(tmp_path, framed, confluent_schema_id="42"))
    assert outcomes(rows) == {"kept": 27, "quarantined": 3, "source": 1}
    details = [(row["member"], row["detail"]) for row in rows if row["outcome"] == "quarantined"]
    said = "byte 0: expected a zero byte and the schema id 42, found"
    assert details == [("row 3", f"{said} 000000002b"), ("row 8", f"{said} 0000"), ("row 9", f"{said} nothing")]
    assert only(rows, "source")["sequence"] == 30


def test_a_bad_payload_is_quarantined_with_its_bytes(tmp_path):
    bodies = [*BODIES[:5], BODIES[5][:99], None, BODIES[6] + b"\0", *BODIES[7:]]
    rows = rows_of(night_of(tmp_path, bodies))
    assert outcomes(rows) == {"kept": 28, "quarantined": 3, "source": 1}
    assert [row["payload"] for row in rows if row["outcome"] == "quarantined"] == [BODIES[5][:99], b"", BODIES[6] + b"\0"]
    assert "byte 74: record 0: candidate.pdiffimfilename" in next(row["detail"] for row in rows if row["member"] == "row 5")


def test_a_large_file_is_shared_by_tasks_and_every_row_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_SMALLEST_PART", 1)
    found = sources([str(night_of(tmp_path, BODIES))], [NIGHT])
    tasks = in_tasks(found, 3)
    assert len(tasks) == 3
    assert sorted(part.groups for task in tasks for part in task) == [(0, 2), (2, 4), (4, 5)]
    rows = rows_of(tmp_path, tasks=tasks)
    assert outcomes(rows) == {"kept": 30, "source": 3}
    assert sum(row["sequence"] for row in rows if row["outcome"] == "source") == 30
    assert len({row["sequence"] for row in rows if row["outcome"] == "kept"}) == 30


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"", "truncated_archive", "expected a Parquet file"),
        (b"<html>", "not_an_archive", "expected a Parquet file"),
        (b"PAR1" + bytes(400), "truncated_archive", "expected a Parquet file"),
    ],
)
def test_what_is_no_file_of_payloads_is_damaged(tmp_path, content, reason, said):
    path = tmp_path / "ztf_payloads_20180819.parquet"
    path.write_bytes(content)
    row = only(rows_of(path), "archive")
    assert row["reason"] == reason
    assert said in row["detail"]


def test_parquet_without_payloads_or_schema_is_no_archive(tmp_path):
    path = night_of(tmp_path, BODIES)
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    row = only(rows_of(path), "archive")
    assert (row["reason"], row["detail"][:60]) == ("not_an_archive", "expected a binary column 'payload' and the key 'avro.schema'")


def test_a_checksum_is_compared_once_whatever_the_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_SMALLEST_PART", 1)
    path = night_of(tmp_path, BODIES)
    (tmp_path / "MD5SUMS").write_text(f"{'0' * 32}  {path.name}\n")
    rows = rows_of(tmp_path, tasks=in_tasks(sources([str(path)], [NIGHT]), 3))
    assert outcomes(rows) == {"kept": 30, "source": 3, "archive": 1}
    assert only(rows, "archive")["reason"] == "wrong_checksum"
