"""Any number of alerts of the size of real ones: a carried packet with jittered values, 5 to 35 entries of history, and random bytes as stamps."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.ingestion.ztf_packets import ZTF_ARCHIVE, packets, varint

STAMPS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
NIGHT = "20181129"
_FIRST_JD = 2458451.5


class Pool:
    """`n` alerts of the night of 2018-11-29, with stamps (`alerts`) and without (`bare`), of one writer schema (`text`, `schema`)."""

    def __init__(self, n: int, seed: int = 0) -> None:
        sample = max(packets(ZTF_ARCHIVE / f"ztf_public_{NIGHT}.tar.gz").values(), key=_history_length)
        reader = fastavro.reader(io.BytesIO(sample))
        self.text = json.dumps(json.loads(reader.metadata["avro.schema"]))
        self.schema = fastavro.parse_schema(json.loads(self.text))
        original = next(reader)
        rng = np.random.default_rng(seed)
        self.alerts = [_jittered(original, i, rng) for i in range(n)]
        self._bodies: dict[int, list[bytes]] = {}
        self.bare = [alert | dict.fromkeys(STAMPS) for alert in self.alerts]

    def write_tar(self, path: Path, copy_number: int = 0) -> Path:
        """The public archive's form: one packet a member, gzipped; in each copy with other alert ids."""
        header = self._header()
        with tarfile.open(path, "w:gz", compresslevel=6) as archive:
            for alert, body in zip(self.alerts, self.bodies(self.alerts, copy_number), strict=True):
                packet = b"".join([header, varint(1), varint(len(body)), body, header[-16:]])
                info = tarfile.TarInfo(f"{alert['candid'] + (copy_number << 20)}.avro")
                info.size = len(packet)
                archive.addfile(info, io.BytesIO(packet))
        return path

    def bodies(self, alerts: list[dict[str, Any]], copy_number: int = 0) -> list[bytes]:
        """Each alert's body, without header or schema; in each copy with other alert ids, put in where they stand."""
        shift = copy_number << 20
        return [
            body.replace(varint(alert["candid"]), varint(alert["candid"] + shift))
            for alert, body in zip(alerts, self._encoded(alerts), strict=True)
        ]

    def write_container(self, path: Path, bodies: list[bytes], a_block: int = 200) -> Path:
        """All alerts in one Avro file."""
        header = self._header()
        with path.open("wb") as file:
            file.write(header)
            for begin in range(0, len(bodies), a_block):
                block = bodies[begin : begin + a_block]
                size = sum(len(body) for body in block)
                file.write(b"".join([varint(len(block)), varint(size), *block, header[-16:]]))
        return path

    def write_payloads(self, path: Path, bodies: list[bytes], rows_a_group: int = 500) -> Path:
        """The bodies as a Parquet file with the schema in its metadata."""
        table = pa.table({"payload": pa.array(bodies, pa.binary())})
        pq.write_table(table.replace_schema_metadata({"avro.schema": self.text}), path, compression="none", row_group_size=rows_a_group)
        return path

    def _header(self) -> bytes:
        """What a container begins with, its sync marker last."""
        header = io.BytesIO()
        fastavro.writer(header, self.schema, [])
        return header.getvalue()

    def _encoded(self, alerts: list[dict[str, Any]]) -> list[bytes]:
        key = id(alerts)
        if key not in self._bodies:
            self._bodies[key] = []
            for alert in alerts:
                body = io.BytesIO()
                fastavro.schemaless_writer(body, self.schema, alert)
                self._bodies[key].append(body.getvalue())
        return self._bodies[key]


def _history_length(packet: bytes) -> int:
    return len(next(fastavro.reader(io.BytesIO(packet)))["prv_candidates"] or ())


def _jittered(original: dict[str, Any], i: int, rng: np.random.Generator) -> dict[str, Any]:
    alert = copy.deepcopy(original)
    n_before = int(rng.integers(5, 36))
    jd = _FIRST_JD + 0.6 + 0.2 * rng.random()
    alert |= {"objectId": f"ZTF{17 + i % 8}abc{i % 10000:04d}", "candid": original["candid"] + i}
    alert["candidate"] = _shaken(original["candidate"], rng) | {"candid": alert["candid"], "jd": jd}
    for name in ("ra", "dec", "ranr", "decnr"):
        alert["candidate"][name] = original["candidate"][name]
    history = original["prv_candidates"]
    alert["prv_candidates"] = [
        _shaken(history[rng.integers(len(history))], rng) | {"jd": jd - 30.0 + 30.0 * j / n_before} for j in range(n_before)
    ]
    for name in STAMPS:
        if original[name]:
            alert[name] = original[name] | {"stampData": rng.bytes(len(original[name]["stampData"]))}
    return alert


def _shaken(record: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Every number a little different, so that nothing compresses better than real data do."""
    return {k: v * (1.0 + 1e-3 * rng.normal()) if isinstance(v, float) and v != -999.0 else v for k, v in record.items()}
