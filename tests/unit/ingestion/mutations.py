"""Damaged packets, and whether the decoder says of them what fastavro says: `python -m tests.unit.ingestion.mutations 1000000` tries that many.

Where fastavro accepts what the specification forbids, the decoder refuses; `STRICTER` is all there is of it.
"""

from __future__ import annotations

import collections
import datetime as dt
import io
import re
import sys
from collections.abc import Iterator, Sequence

import fastavro
import numpy as np

from deeprubin_spark import arrow
from deeprubin_spark.ingestion import container
from deeprubin_spark.ingestion.decode import Bad, Decoded, Decoder
from deeprubin_spark.ingestion.reading import one_packet
from tests.unit.ingestion.ztf_packets import ZTF, ZTF_ARCHIVE, packets, varint

_ENDLESS = "items have no bytes|records of this schema have no bytes"
STRICTER = {
    "expected the Avro magic": "fastavro does not look at it",
    "a number longer than ten bytes": "fastavro reads on, and drops the bits that no 64-bit number has",
    "is not a 32-bit number": "fastavro reads int as long",
    "no union branch -": "fastavro counts a negative index from the end",
    "no enum symbol -": "as above",
    "a length of -": "fastavro takes a negative length for 'all the rest'",
    r"header (key|value): expected -\d+ bytes": "as above",
    "expected the end of the block": "fastavro ignores what follows the last record of a block",
    r"expected a block of records, found count -?\d+ and length -?\d+": "fastavro takes a negative count for an empty block",
    "two fields of one name": "fastavro keeps the later one",
    "contains itself": "no flat program can be made of such a schema; no survey has one",
    _ENDLESS: "a list of any length fits into no bytes; fastavro fills the memory with it",
    "the compressed data end too early": "fastavro takes what there is",
}
BATCH = 50  # packets that are decoded beside each other
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def samples() -> list[bytes]:
    """Small packets of four schema generations."""
    nights = ("20180601", "20201014", "20231012", "20240715")
    found = [min(packets(ZTF_ARCHIVE / f"ztf_public_{night}.tar.gz").values(), key=len) for night in nights]
    return [*found, min((path.read_bytes() for path in (ZTF / "reencoded").glob("*.avro")), key=len)]


def mutated(packet: bytes, rng: np.random.Generator) -> bytes:
    """One damage, in the header, in the block or in the records; of those the block then has the new length, so that they are read at all."""
    body = packet.index(packet[-16:]) + 16  # the sync marker is both before the first block and at the end
    place = rng.random()
    if place < 0.2:
        return _damaged(packet, int(rng.integers(0, body)), rng)
    if place < 0.3:
        return _damaged(packet, int(min(body + rng.integers(0, 40), len(packet) - 1)), rng)
    count, at = container._long(packet, 0, body, len(packet), "")
    _, at = container._long(packet, 0, at, len(packet), "")
    records = packet[at:-16]
    records = _damaged(records, int(rng.integers(0, min(len(records), int(rng.choice([60, 600, 6000, 60000]))))), rng)
    return packet[:body] + varint(count) + varint(len(records)) + records + packet[-16:]


def _damaged(data: bytes, where: int, rng: np.random.Generator) -> bytes:
    """A bit, a byte, a cut, bytes that are lost or put in, a number that is made long or negative."""
    changed = bytearray(data)
    kind = rng.integers(6)
    if kind == 0:
        changed[where] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        changed[where] = int(rng.integers(256))
    elif kind == 2:
        del changed[where:]
    elif kind == 3:
        del changed[where : where + int(rng.integers(1, 9))]
    elif kind == 4:
        changed[where:where] = rng.bytes(int(rng.integers(1, 9)))
    else:
        changed[where : where + 1] = bytes(rng.choice([0x01, 0x7F, 0x80, 0xFF], int(rng.integers(1, 12))).astype(np.uint8))
    return bytes(changed)


def by_us(batch: Sequence[bytes]) -> list[list[object] | str]:
    """All alerts of each packet, or why there are none. The packets are neighbours: they fill the same columns."""
    decoder = Decoder(None)
    parts = [part for i, packet in enumerate(batch) for part in decoder.containers(one_packet(packet, f"{i}.avro", i))]
    alerts: list[list[object]] = [[] for _ in batch]
    for decoded in (*parts, *decoder.flush()):
        if isinstance(decoded, Decoded):
            rows = arrow.decoded(decoded.columns, decoded.columns.program.root).to_pylist()
            for row, piece in zip(rows, decoded.origins()[0], strict=True):
                alerts[decoded.packets[piece].first].append(row)
    refused = {part.packets.first: part.detail for part in reversed(parts) if isinstance(part, Bad)}
    return [refused.get(i, found) for i, found in enumerate(alerts)]


def by_fastavro(packet: bytes) -> list[object] | Exception:
    """The same by fastavro; an exception where it raises one, or finds no alert."""
    try:
        return list(fastavro.reader(io.BytesIO(packet))) or ValueError("no alert")
    except Exception as error:
        return error


def disagreements(batch: Sequence[bytes]) -> list[tuple[str, str]]:
    """What the two make of each packet: ('same', ''), ('refused', ''), ('stricter', why) or ('different', how)."""
    return [_disagreement(packet, ours) for packet, ours in zip(batch, by_us(batch), strict=True)]


def _disagreement(packet: bytes, ours: list[object] | str) -> tuple[str, str]:
    if isinstance(ours, str) and "have no bytes" in ours:
        return "stricter", _ENDLESS
    theirs = by_fastavro(packet)
    if isinstance(ours, str):
        if isinstance(theirs, Exception):
            return "refused", ""
        why = next((pattern for pattern in STRICTER if re.search(pattern, ours)), "")
        return ("stricter", why) if why else ("different", f"only we refuse: {ours}")
    if isinstance(theirs, Exception):
        return _only_they_refuse(packet, theirs)
    return ("same", "") if _equal(ours, theirs) else ("different", "other values")


def _only_they_refuse(packet: bytes, error: Exception) -> tuple[str, str]:
    """Times that no calendar has are numbers to us, and what a header says besides schema and codec are bytes."""
    if isinstance(error, OverflowError) or "out of range" in str(error):
        return "same", ""
    if isinstance(error, UnicodeDecodeError) and error.object in container._metadata(packet, 4)[0].values():
        return "same", ""
    return "different", f"only fastavro refuses: {error!r}"


def _equal(ours: object, theirs: object) -> bool:
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and ours.keys() == theirs.keys() and all(_equal(ours[key], theirs[key]) for key in ours)
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    if isinstance(theirs, dt.datetime):
        return ours == (theirs - _EPOCH) // dt.timedelta(microseconds=1)
    return ours == theirs or (ours != ours and theirs != theirs)


def tried(n: int, seed: int) -> Iterator[tuple[str, str]]:
    """`disagreements` of n damaged packets."""
    rng, originals = np.random.default_rng(seed), samples()
    for begin in range(0, n, BATCH):
        yield from disagreements([mutated(originals[i % len(originals)], rng) for i in range(begin, min(begin + BATCH, n))])


def main(n: int) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for i, (verdict, why) in enumerate(tried(n, 2026), 1):
        counts[f"{verdict} {why}" if verdict == "stricter" else verdict] += 1
        if verdict == "different":
            print(i, why, flush=True)
        if i % 50_000 == 0 or i == n:
            print(i, dict(counts), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
