"""Packets to columns: what is wanted of each alert, without an object per alert.

Packets come many at a time in one piece of memory. Those of one writer schema fill one set of columns, which is handed out when it holds enough
alerts; a packet that cannot be decoded is handed out by itself and leaves no trace among the others. A block of a container is decoded whole or
not at all, since after a damaged record nobody knows where the next one begins; other blocks and packets are not touched by it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deeprubin_spark.ingestion.container import SYNC, BadPacketError, Block, IncompleteError, Writer, Writers, blocks
from deeprubin_spark.kernels.avro_decode import Blocks, Columns, Failure, Room, decode
from deeprubin_spark.kernels.avro_machine import FULL_ROWS, OK
from deeprubin_spark.kernels.avro_program import Program

_ALERTS = 512  # in one set of columns
_BYTES = 32 << 20  # of packets that wait with them, because one that fails a check is kept with its bytes
_LARGEST = 1 << 30  # [byte] of columns: a single block that needs more is refused
_HISTORY_ROOM, _TEXT_ROOM, _NAME_ROOM, _STAMP_ROOM = (
    32,
    16,
    64,
    1 << 14,
)  # first guess: items an alert, bytes of a text (in an alert itself), of a stamp
PACKET_SHIFT = 24  # an alert's sequence: its packet's position in the source, shifted, plus its own position in the packet
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Packets:
    """N packets of one source in one piece of memory: packet i is data[begins[i]:ends[i]].

    names : what the source calls them      byte_offsets : (N,) [byte] where they begin in it      first : position in the source of packet 0
    n_bytes : (N,) what they should have; more than is there for those that are too large to read
    """

    data: bytes | memoryview
    begins: IntArray
    ends: IntArray
    names: pa.StringArray
    byte_offsets: IntArray
    n_bytes: IntArray
    first: int

    def payload(self, i: int, limit: int) -> bytes:
        """The first `limit` bytes of packet i."""
        begin = int(self.begins[i])
        return bytes(self.data[begin : min(int(self.ends[i]), begin + limit)])


@dataclass(frozen=True)
class Bad:
    """Packet `index` of `packets`, or the part of it that begins at `byte`, that could not be decoded, and why."""

    packets: Packets
    index: int
    byte: int
    reason: str
    detail: str


@dataclass(eq=False)
class Decoded:
    """Alerts of one writer schema. Row i of table 0 of `columns` is record `records[i]` of packet `indices[i]` of `packets[pieces[i]]`."""

    columns: Columns
    packets: list[Packets] = field(default_factory=list)
    n_bytes: int = 0
    _rows: list[tuple[IntArray, IntArray, IntArray]] = field(default_factory=list)

    def add(self, packets: Packets, indices: IntArray, records: IntArray, n_bytes: int) -> None:
        """Note where rows that were decoded now come from."""
        if not self.packets or self.packets[-1] is not packets:
            self.packets.append(packets)
            self.n_bytes += n_bytes
        self._rows.append((np.full(len(indices), len(self.packets) - 1), indices, records))

    @property
    def n_rows(self) -> int:
        """Number of alerts."""
        return int(self.columns.rows[0, 0])

    def origins(self) -> tuple[IntArray, IntArray, IntArray]:
        """(pieces, indices, records), (N,) each."""
        pieces, indices, records = zip(*self._rows, strict=True)
        return np.concatenate(pieces), np.concatenate(indices), np.concatenate(records)


class Decoder:
    """Packets to `Decoded` and `Bad`; `wanted` as in `compile_schema`."""

    def __init__(self, wanted: Iterable[str] | None) -> None:
        self.writers = Writers(wanted)
        self._filling: dict[Program, Decoded] = {}
        self._room: dict[Program, Room] = {}

    def containers(self, packets: Packets) -> Iterator[Decoded | Bad]:
        """Decode packets that are Avro containers, each with its own header."""
        waiting: dict[Program, list[tuple[int, Block, int]]] = {}
        for i in range(len(packets.begins)):
            try:
                yield from self._container(packets, i, waiting)
            except BadPacketError as error:
                yield Bad(packets, i, 0, error.reason, error.detail)
        for program, found in waiting.items():
            yield from self._blocks(program, packets, found)

    def payloads(self, packets: Packets, program: Program, starts: IntArray, chosen: IntArray | None = None) -> Iterator[Decoded | Bad]:
        """Decode packets that are one record each, without a header, from `starts` on; only those that are `chosen`."""
        indices = np.arange(len(starts)) if chosen is None else chosen
        begins, ends = starts[indices], packets.ends[indices]
        found = Blocks(np.frombuffer(packets.data, np.uint8), begins, ends, np.ones(len(indices), np.int64))
        yield from self._fill(program, packets, found, indices, np.zeros(len(indices), np.int64), packets.begins[indices])

    def flush(self) -> Iterator[Decoded]:
        """Hand out what has been decoded so far."""
        for program in list(self._filling):
            yield from self._take(program)

    def part_of_container(
        self, packets: Packets, writer: Writer, sync: bytes, position: int, n_records: int
    ) -> Generator[Decoded | Bad, None, tuple[int, int]]:
        """Decode the complete blocks at the begin of a piece of a large container, of which `n_records` have been read.

        position : byte of the container at which the piece begins. Returns (position of the first block that is not complete, records until
        there), as generators do. BadPacketError where a block is damaged.
        """
        data = packets.data
        assert isinstance(data, bytes)
        found: list[tuple[int, Block, int]] = []
        at = 0
        try:
            for block in blocks(data, -position, 0, len(data), sync, writer.codec):
                found.append((0, block, n_records))
                n_records, at = n_records + block.n_records, block.next
        except IncompleteError:
            pass
        finally:
            for part in [found] if writer.codec == "null" and found else [[entry] for entry in found]:
                yield from self._blocks(writer.program, packets, part)
        return position + at, n_records

    def _container(self, packets: Packets, i: int, waiting: dict[Program, list[tuple[int, Block, int]]]) -> Iterator[Decoded | Bad]:
        """Find the blocks of a packet; those that lie in it as they are wait for all packets of their piece, others are decoded now."""
        data, begin, end = packets.data, int(packets.begins[i]), int(packets.ends[i])
        assert isinstance(data, bytes)
        if end - begin < packets.n_bytes[i]:
            raise BadPacketError("decode_failed", f"expected at most {end - begin} bytes, found {packets.n_bytes[i]}")
        n_records = 0
        writer = self.writers.of_packet(data, begin, end)
        at = begin + len(writer.header) + SYNC
        if at > end:
            raise BadPacketError("decode_failed", f"byte {end - begin}: expected the header's sync marker, the packet ends here")
        for block in blocks(data, begin, at, end, data[at - SYNC : at], writer.codec):
            if block.data is data:
                waiting.setdefault(writer.program, []).append((i, block, n_records))
            else:
                yield from self._blocks(writer.program, packets, [(i, block, n_records)])
            n_records += block.n_records
        if n_records == 0:
            raise BadPacketError("missing_field", "the packet holds no alert")

    def _blocks(self, program: Program, packets: Packets, found: list[tuple[int, Block, int]]) -> Iterator[Decoded | Bad]:
        """Decode blocks that lie in one piece of memory."""
        data = np.frombuffer(found[0][1].data, np.uint8)
        numbers = np.array([(b.start, b.end, b.n_records, i, n, b.origin) for i, b, n in found], np.int64).reshape(-1, 6)
        starts, ends, counts, indices, records, origins = numbers.T.copy()
        yield from self._fill(program, packets, Blocks(data, starts, ends, counts), indices, records, origins)

    def _fill(
        self, program: Program, packets: Packets, found: Blocks, indices: IntArray, records: IntArray, origins: IntArray
    ) -> Iterator[Decoded | Bad]:
        """Decode into the columns that are being filled. `origins`: the position in `found.data` that is byte 0 of a block's packet."""
        at = 0
        while at < len(found.starts):
            filling = self._filling.get(program) or self._new(program)
            failures: dict[int, Failure] = {}
            next_block, full, which = decode(filling.columns, found, at, failures)
            good = np.array([i for i in range(at, next_block) if i not in failures] if failures else range(at, next_block), np.int64)
            counts = found.counts[good]
            if counts.sum():
                first = np.repeat(np.cumsum(counts) - counts, counts)
                filling.add(
                    packets,
                    np.repeat(indices[good], counts),
                    np.repeat(records[good], counts) + np.arange(counts.sum()) - first,
                    len(packets.data),
                )
            for i, failure in failures.items():
                position = failure.position - int(origins[i])
                part = int(found.starts[i]) - int(origins[i]) if records[i] else 0
                yield Bad(packets, int(indices[i]), part, "decode_failed", f"byte {position}: {failure}")
            at = next_block
            if full != OK:
                has_grown = self._grow(program, full, which)
                if not has_grown and filling.n_rows == 0:
                    yield Bad(packets, int(indices[at]), 0, "decode_failed", f"a block of records that need more than {_LARGEST} bytes")
                    at += 1
            if full != OK or filling.n_bytes >= _BYTES:
                yield from self._take(program)

    def _new(self, program: Program) -> Decoded:
        room = self._room.get(program) or _first_room(program)
        self._room[program] = room
        self._filling[program] = Decoded(Columns(room))
        return self._filling[program]

    def _grow(self, program: Program, full: int, which: int) -> bool:
        """Give the next columns more room for what filled up before there were enough alerts. False where they may not have more."""
        if full == FULL_ROWS and which == 0:
            return True
        rows, text = self._room[program].rows.copy(), self._room[program].text.copy()
        grown = rows if full == FULL_ROWS else text
        grown[which] *= 2
        room = Room(program, rows, text)
        if room.n_bytes > _LARGEST:
            return False
        self._room[program] = room
        return True

    def _take(self, program: Program) -> Iterator[Decoded]:
        filling = self._filling.pop(program)
        if filling.n_rows:
            yield filling


def _first_room(program: Program) -> Room:
    rows = np.full(program.n_tables, _ALERTS * _HISTORY_ROOM, np.int64)
    rows[0] = _ALERTS
    text = np.where(program.stored < 0, rows[program.tables] * _TEXT_ROOM, 0)
    text[(program.stored < 0) & (program.tables == 0)] = _ALERTS * _NAME_ROOM
    text[program.stored == -2] = _ALERTS * _STAMP_ROOM
    return Room(program, rows, text.astype(np.int64))
