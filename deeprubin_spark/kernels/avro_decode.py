"""Avro records to columns: one compiled loop over the bytes, run by the program of a schema (`avro_program`).

Every read is checked against the end of its block, so damaged bytes give a status with its position and never a value from elsewhere.
Stricter than the specification's readers usually are, on purpose: a number longer than ten bytes or than its type, a union or enum index
outside its range (also a negative one), a negative length and bytes after the last record are errors. Fields that are not wanted are stepped
over by their length alone. Logical types are read as the types they are stored in.
Format: Apache Avro specification 1.11, "Binary Encoding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.avro_machine import (
    CUT,
    DEEPEST,
    FULL_ROWS,
    FULL_TEXT,
    ITEMS_TABLE,
    LEFT_OVER,
    LONG_NUMBER,
    NEGATIVE,
    NO_BRANCH,
    NO_SYMBOL,
    NOT_UTF8,
    OK,
    TABLE,
    TEXT,
    TEXT_ROOM,
    TEXT_USED,
    THERE,
    TOO_MANY,
    VALUES,
    WIDE_INT,
    mark_present,
    run_blocks,
)

if TYPE_CHECKING:
    from deeprubin_spark.kernels.avro_program import Program

_ALIGNMENT = 64  # [byte]
_MESSAGES = {
    CUT: "expected {} bytes, the record ends here",
    LONG_NUMBER: "a number longer than ten bytes",
    WIDE_INT: "{} is not a 32-bit number",
    NO_BRANCH: "no union branch {}",
    NO_SYMBOL: "no enum symbol {}",
    NEGATIVE: "a length of {}",
    TOO_MANY: "{} items cannot be in the bytes left",
    NOT_UTF8: "text that is not UTF-8",
    LEFT_OVER: "expected the end of the block, found {} more bytes",
}


@dataclass(frozen=True)
class Failure:
    """Why a block is not what its schema says. `position` [byte] in the buffer that was decoded."""

    position: int
    record: int
    path: str
    problem: str

    def __str__(self) -> str:
        return f"record {self.record}: {self.path}: {self.problem}"


class Room:
    """How much fits into a set of columns, and where in their memory each lies.

    rows : (T,) of each table      text : (C,) [byte] of each column's text      `n_bytes` : what they need in all
    `layout[c]` says where column c lies (TABLE ... TEXT_USED are its numbers, THERE, VALUES and TEXT in bytes): its values (of text, arrays and
    maps: int32 offsets, one more than rows), which rows have one (uint8; -1: all have), its text.
    """

    def __init__(self, program: Program, rows: NDArray[np.int64], text: NDArray[np.int64]) -> None:
        self.program, self.rows, self.text = program, rows, text
        self.layout = np.full((len(program.tables), 8), -1, np.int64)
        end = 0
        for c, stored in enumerate(program.stored):
            n_rows = int(rows[program.tables[c]])
            self.layout[c, [TABLE, ITEMS_TABLE, TEXT_ROOM, TEXT_USED]] = program.tables[c], program.child[c], text[c], 0
            if program.nullable[c]:
                self.layout[c, THERE], end = end, _aligned(end + n_rows)
            if stored:
                self.layout[c, VALUES], end = end, _aligned(end + (n_rows + 1) * (4 if stored < 0 else int(stored)))
            if stored < 0:
                self.layout[c, TEXT], end = end, _aligned(end + int(text[c]))
        self.n_bytes = end


class Columns:
    """The values of a program's columns, filled block after block by `decode`, in `memory` (uint8) as `layout` says.

    Of table t rows[t, 0] rows are filled of rows[t, 1]. Offsets behind a row that has no value are 0.
    """

    def __init__(self, room: Room) -> None:
        self.program = room.program
        self.rows = np.stack([np.zeros_like(room.rows), room.rows], axis=1)
        self.layout = room.layout.copy()
        self.memory = np.zeros(room.n_bytes // 8 + 1, np.int64).view(np.uint8)


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True)
class Blocks:
    """Parts of `data` that hold records end to end: block i has counts[i] of them in the bytes starts[i] to ends[i].

    data : (N,) uint8      starts, ends, counts : (B,) int64
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]


def decode(columns: Columns, blocks: Blocks, first: int, failures: dict[int, Failure]) -> tuple[int, int, int]:
    """Decode the blocks from `first` on into `columns`, each of them whole or not at all.

    A damaged block is noted in `failures` and leaves nothing behind. Returns (next, full, which): the first block that was not reached, len
    if none; OK, or FULL_ROWS or FULL_TEXT where the columns have no room for it, and of which table or column.
    """
    program = columns.program
    outcome = np.zeros(5, np.int64)
    stack = np.zeros((DEEPEST, 2), np.int64)
    at = first
    while at < len(blocks.starts):
        at = run_blocks(
            program.code,
            blocks.data,
            blocks.starts,
            blocks.ends,
            blocks.counts,
            at,
            columns.memory,
            columns.layout,
            columns.rows,
            stack,
            outcome,
        )
        status, position, value, instruction, record = (int(number) for number in outcome)
        if status in (FULL_ROWS, FULL_TEXT):
            return at, status, value
        if status != OK:
            failures[at] = Failure(position, record, program.field_at(instruction), _MESSAGES[status].format(value))
            at += 1
    return at, OK, 0


def present(
    columns: Columns, chosen: NDArray[np.int64], missing: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Where numbers are, and are not what means "missing" nor NaN: a bit a row, lowest first, as Arrow has it.

    chosen : (K,) columns of 4 or 8 bytes, less than 0 (-1 - c) for those of floats      missing : (K,) the number that means so
    Returns (bits, begins, absent): bits of chosen column k from byte begins[k] on, and how many of its rows are not there.
    """
    real = np.where(chosen < 0, -1 - chosen, chosen)
    n_bytes = _aligned_array(columns.rows[columns.layout[real, TABLE], 0])
    begins = np.cumsum(n_bytes) - n_bytes
    bits = np.zeros(int(n_bytes.sum()), np.uint8)
    absent = np.zeros(len(chosen), np.int64)
    m = columns.memory
    wide = columns.program.stored[real] == 8
    rows = columns.rows[:, 0].copy()
    mark_present(
        m,
        m.view(np.int32),
        m.view(np.int64),
        m.view(np.float32),
        m.view(np.float64),
        columns.layout,
        rows,
        real,
        chosen < 0,
        wide,
        missing,
        bits,
        begins,
        absent,
    )
    return bits, begins, absent


def _aligned_array(n_rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of that many bits, in whole lines of `_ALIGNMENT` bytes."""
    return -(-n_rows // (8 * _ALIGNMENT)) * _ALIGNMENT
