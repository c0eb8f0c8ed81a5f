"""The compiled loop that reads Avro records into columns, run by the program of a schema; `avro_decode` says what for, and hands it the memory.

Every read is checked against the end of its block. Numbers at an address are read and written by their address: arrays handed from function to
function would cost ten times as much, because each hand-over counts references.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

# Instructions have four numbers: operation, a, b, c. They are here, because numba's cache notices changes of its own file only.
#   values           a: column, b: which of two union branches is null (-1: no union), c: symbols of an enum, bytes of a fixed
#   steps over       a: -1, b: as above, c: bytes of SKIP_BYTES
#   MARK             a: column of a record that may be missing and is here
#   UNLESS_NULL      b: which branch is null, c: where to go on if it is that one
#   UNION            a: column of the branch or -1, b: branches, c: where their addresses stand behind the program
#   GOTO             c: where to go on
#   ITEMS            a: column of an array or map or -1, b: fewest bytes of an item, c: where to go on after the last
#   NEXT             a, b: as above, c: the first instruction of an item
INT, LONG, ENUM, FLOAT, DOUBLE, BOOLEAN, STRING, BYTES, FIXED, NULL, SKIP_BYTES, SKIP_NUMBER, SKIP_TEXT = range(13)
MARK, UNLESS_NULL, UNION, GOTO, ITEMS, NEXT, END = range(13, 20)
WIDTH = 4
DEEPEST = 16  # arrays within arrays

# What came of a block. FULL_*: the columns have no room left, `value` says which table's or column's.
OK, FULL_ROWS, FULL_TEXT, CUT, LONG_NUMBER, WIDE_INT, NO_BRANCH, NO_SYMBOL, NEGATIVE, TOO_MANY, NOT_UTF8, LEFT_OVER = range(12)
TABLE, ITEMS_TABLE, THERE, VALUES, TEXT, TEXT_ROOM, TEXT_USED = range(7)  # numbers of `Columns.layout`
_STEP = 4 * WIDTH  # [byte] from an instruction to the next


def _reader(kind: Any) -> Any:
    @intrinsic
    def read(context, address):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            pointer = builder.inttoptr(arguments[0], context.get_value_type(kind).as_pointer())
            return builder.load(pointer, align=1)

        return kind(types.int64), generate

    return read


def _writer(kind: Any) -> Any:
    @intrinsic
    def write(context, address, value):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            pointer = builder.inttoptr(arguments[0], context.get_value_type(kind).as_pointer())
            builder.store(arguments[1], pointer, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, kind), generate

    return write


# Numbers at an address, which need not be a multiple of their size.
_read1, _read4, _read8 = _reader(types.uint8), _reader(types.int32), _reader(types.int64)
_write1, _write4, _write8 = _writer(types.uint8), _writer(types.int32), _writer(types.int64)


@njit(cache=True, nogil=True)
def run_blocks(code, data, starts, ends, counts, first, memory, layout, rows, stack, outcome):  # type: ignore[no-untyped-def]
    """Read the blocks from `first` on, until one fails. Returns that block, or their number; `outcome` says why: status, position, value, ..."""
    before, text_before = rows[:, 0].copy(), layout[:, TEXT_USED].copy()
    c, d, m = code.ctypes.data, data.ctypes.data, memory.ctypes.data
    y, r, s, o = layout.ctypes.data, rows.ctypes.data, stack.ctypes.data, outcome.ctypes.data
    outcome[0] = OK
    for block in range(first, len(starts)):
        for t in range(len(before)):
            before[t] = rows[t, 0]
        for column in range(len(text_before)):
            text_before[column] = layout[column, TEXT_USED]
        p, end = starts[block], ends[block]
        for record in range(counts[block]):
            outcome[4] = record
            p = _record(c, d, p, end, m, y, r, s, o)
            if p < 0:
                break
        if p >= 0 and p != end:
            outcome[3], outcome[4] = -1, counts[block]
            p = _fail(o, LEFT_OVER, p, end - p)
        if p < 0:
            _take_back(memory, layout, rows, before, text_before)
            return block
    return len(starts)


# In the functions below `c`, `d`, `m`, `y`, `r`, `s`, `o` are the addresses of code, data, memory, layout, rows, stack and outcome.


@njit(cache=True, nogil=True, forceinline=True)
def _record(c, d, p, end, m, y, r, s, o):  # type: ignore[no-untyped-def]
    """One record. Returns the position after it, or -1."""
    row = _read8(r)
    if row >= _read8(r + 8):
        return _fail(o, FULL_ROWS, p, 0)
    _write8(r, row + 1)
    depth = 0
    pc = c
    while True:
        at = pc
        op, column, b, extra = _read4(pc), np.int64(_read4(pc + 4)), np.int64(_read4(pc + 8)), np.int64(_read4(pc + 12))
        if op <= SKIP_TEXT:
            pc += _STEP
            if b >= 0:
                branch, p = _number(d, p, end, o)
                if p >= 0 and (branch < 0 or branch > 1):
                    p = _fail(o, NO_BRANCH, p, branch)
                if p >= 0 and branch == b:
                    continue
            if p >= 0:
                p = _value(op, column, extra, d, p, end, m, y, row, o)
        elif op < ITEMS:
            pc, p = _turn(op, column, b, extra, c, pc, d, p, end, m, y, row, o)
        elif op < END:
            pc, p, row, depth = _items(op, column, b, extra, c, pc, d, p, end, m, y, r, row, s, depth, o)
        else:
            return p
        if p < 0:
            _write8(o + 24, (at - c) // 4)
            return p


@njit(cache=True, nogil=True, forceinline=True)
def _value(op, column, extra, d, p, end, m, y, row, o):  # type: ignore[no-untyped-def]
    """Store a value in its column, or step over one that has none."""
    if op >= NULL:
        return _step_over(op, extra, d, p, end, o)
    y += 64 * column
    there, values = _read8(y + 8 * THERE), m + _read8(y + 8 * VALUES)
    if there >= 0:
        _write1(m + there + row, np.uint8(1))
    if op >= STRING:
        return _text(op, column, extra, d, p, end, m, y, values + 4 * row, o)
    if op >= FLOAT:
        return _fixed_number(op, d, p, end, values, row, o)
    number, after = _number(d, p, end, o)
    if after < 0:
        return after
    if op == LONG:
        _write8(values + 8 * row, number)
    elif op == ENUM and (number < 0 or number >= extra):
        return _fail(o, NO_SYMBOL, p, number)
    elif number != np.int64(np.int32(number)):
        return _fail(o, WIDE_INT, p, number)
    else:
        _write4(values + 4 * row, np.int32(number))
    return after


@njit(cache=True, nogil=True, forceinline=True)
def _fixed_number(op, d, p, end, values, row, o):  # type: ignore[no-untyped-def]
    size = np.int64(4) if op == FLOAT else np.int64(8) if op == DOUBLE else np.int64(1)
    if end - p < size:
        return _fail(o, CUT, p, size)
    if op == FLOAT:
        _write4(values + 4 * row, _read4(d + p))
    elif op == DOUBLE:
        _write8(values + 8 * row, _read8(d + p))
    else:
        _write1(values + row, np.uint8(_read1(d + p) != 0))
    return p + size


@njit(cache=True, nogil=True, forceinline=True)
def _number(d, p, end, o):  # type: ignore[no-untyped-def]
    """(value, position after it or -1) of a zigzag varint."""
    if p < end:
        byte = np.int64(_read1(d + p))
        if byte < 128:
            return (byte >> 1) ^ -(byte & 1), p + 1
    return _long_number(d, p, end, o)


@njit(cache=True, nogil=True)
def _long_number(d, p, end, o):  # type: ignore[no-untyped-def]
    bits = np.uint64(0)
    for i in range(min(10, end - p)):
        byte = np.uint64(_read1(d + p + i))
        bits |= (byte & np.uint64(127)) << np.uint64(7 * i)
        if byte < np.uint64(128):
            if i == 9 and byte > np.uint64(1):
                break
            return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), p + i + 1
    return np.int64(-1), _fail(o, CUT if end - p < 10 else LONG_NUMBER, p, max(end - p, 0) + 1)


@njit(cache=True, nogil=True, forceinline=True)
def _length(d, p, end, o):  # type: ignore[no-untyped-def]
    """(length, position after it or -1) of text, which is all there."""
    size, after = _number(d, p, end, o)
    if after >= 0 and size < 0:
        after = _fail(o, NEGATIVE, p, size)
    if after >= 0 and size > end - after:
        after = _fail(o, CUT, after, size)
    return size, after


@njit(cache=True, nogil=True, forceinline=True)
def _step_over(op, extra, d, p, end, o):  # type: ignore[no-untyped-def]
    if op == SKIP_NUMBER:
        _, after = _number(d, p, end, o)
        return after
    if op == SKIP_TEXT:
        size, after = _length(d, p, end, o)
        return after if after < 0 else after + size
    if end - p < extra:
        return _fail(o, CUT, p, extra)
    return p + extra


@njit(cache=True, nogil=True)
def _text(op, column, extra, d, p, end, m, y, offset, o):  # type: ignore[no-untyped-def]
    """Copy text into its column; the offset of the row after it says where it ends."""
    size, begin = extra, p
    if op != FIXED:
        size, begin = _length(d, p, end, o)
        if begin < 0:
            return begin
    elif end - p < size:
        return _fail(o, CUT, p, size)
    used = _read8(y + 8 * TEXT_USED)
    if size > _read8(y + 8 * TEXT_ROOM) - used:
        return _fail(o, FULL_TEXT, p, column)
    into = m + _read8(y + 8 * TEXT) + used
    high = np.uint8(0)
    for i in range(size):
        byte = _read1(d + begin + i)
        high |= byte
        _write1(into + i, byte)
    if op == STRING and high >= 128 and not _is_utf8(d + begin, d + begin + size):
        return _fail(o, NOT_UTF8, begin, 0)
    _write8(y + 8 * TEXT_USED, used + size)
    _write4(offset + 4, np.int32(used + size))
    return begin + size


@njit(cache=True, nogil=True)
def _is_utf8(p, end):  # type: ignore[no-untyped-def]
    """Whether the bytes between two addresses are well-formed by table 3-7 of the Unicode Standard."""
    while p < end:
        lead = _read1(p)
        p += 1
        if lead < 0x80:
            continue
        more = 1 if 0xC2 <= lead <= 0xDF else 2 if 0xE0 <= lead <= 0xEF else 3 if 0xF0 <= lead <= 0xF4 else 0
        if more == 0 or end - p < more:
            return False
        lowest = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        highest = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        for i in range(more):
            if not lowest <= _read1(p + i) <= highest:
                return False
            lowest, highest = 0x80, 0xBF
        p += more
    return True


@njit(cache=True, nogil=True, forceinline=True)
def _turn(op, column, b, target, c, pc, d, p, end, m, y, row, o):  # type: ignore[no-untyped-def]
    """(next instruction, position) after an instruction that only says where to go on."""
    if op == GOTO:
        return c + 4 * target, p
    y += 64 * column
    if op == MARK:
        _write1(m + _read8(y + 8 * THERE) + row, np.uint8(1))
        return pc + _STEP, p
    branch, after = _number(d, p, end, o)
    if after >= 0 and (branch < 0 or branch >= (2 if op == UNLESS_NULL else b)):
        after = _fail(o, NO_BRANCH, p, branch)
    if after < 0:
        return pc, after
    if op == UNLESS_NULL:
        return (c + 4 * target if branch == b else pc + _STEP), after
    if column >= 0:
        _write4(m + _read8(y + 8 * VALUES) + 4 * row, np.int32(branch))
        if _read8(y + 8 * THERE) >= 0:
            _write1(m + _read8(y + 8 * THERE) + row, np.uint8(1))
    return c + 4 * np.int64(_read4(c + 4 * (target + branch))), after


@njit(cache=True, nogil=True, forceinline=True)
def _items(op, column, fewest, target, c, pc, d, p, end, m, y, r, row, s, depth, o):  # type: ignore[no-untyped-def]
    """(next instruction, position, row, depth) at the beginning of an array or map, or at the end of one of its items."""
    left = np.int64(0)
    if op == NEXT:
        left = _read8(s + 16 * (depth - 1)) - 1
    else:
        _write8(s + 16 * depth + 8, row)
        depth += 1
    if left == 0:
        left, p = _count(d, p, end, fewest, o)
        if p < 0:
            return pc, p, row, depth
    y += 64 * column
    table = _read8(y + 8 * ITEMS_TABLE) if column >= 0 else np.int64(-1)
    if left == 0:
        depth -= 1
        row = _read8(s + 16 * depth + 8)
        if column >= 0:
            _write4(m + _read8(y + 8 * VALUES) + 4 * row + 4, np.int32(_read8(r + 16 * table)))
            if _read8(y + 8 * THERE) >= 0:
                _write1(m + _read8(y + 8 * THERE) + row, np.uint8(1))
        return (pc + _STEP if op == NEXT else c + 4 * target), p, row, depth
    _write8(s + 16 * (depth - 1), left)
    if table >= 0:
        row = _read8(r + 16 * table)
        if row >= _read8(r + 16 * table + 8):
            return pc, _fail(o, FULL_ROWS, p, table), row, depth
        _write8(r + 16 * table, row + 1)
    return (c + 4 * target if op == NEXT else pc + _STEP), p, row, depth


@njit(cache=True, nogil=True)
def _count(d, p, end, fewest, o):  # type: ignore[no-untyped-def]
    """(items, position after it or -1) of the next part of an array or map; a negative count has the part's bytes behind it, not needed."""
    count, after = _number(d, p, end, o)
    if after >= 0 and count < 0:
        count = -count
        _, after = _number(d, after, end, o)
    if after >= 0 and (count < 0 or count > (end - after) // max(fewest, 1)):
        return count, _fail(o, TOO_MANY, p, count)
    return count, after


@njit(cache=True, nogil=True)
def _take_back(memory, layout, rows, before, text_before):  # type: ignore[no-untyped-def]
    """Make the columns as they were before a block."""
    for column in range(len(layout)):
        first, last = before[layout[column, TABLE]], rows[layout[column, TABLE], 0]
        if layout[column, THERE] >= 0:
            for row in range(first, last):
                memory[layout[column, THERE] + row] = 0
        if layout[column, TEXT] >= 0 or layout[column, ITEMS_TABLE] >= 0:
            for byte in range(4 * first + 4, 4 * last + 4):
                memory[layout[column, VALUES] + byte] = 0
        layout[column, TEXT_USED] = text_before[column]
    for t in range(len(before)):
        rows[t, 0] = before[t]


@njit(cache=True, nogil=True, forceinline=True)
def _fail(o, status, position, value):  # type: ignore[no-untyped-def]
    """Note what went wrong. Returns -1."""
    _write8(o, np.int64(status))
    _write8(o + 8, position)
    _write8(o + 16, np.int64(value))
    return np.int64(-1)


@njit(cache=True, nogil=True)
def mark_present(m, i4, i8, f4, f8, layout, rows, chosen, is_float, is_wide, missing, bits, begins, absent):  # type: ignore[no-untyped-def]
    """See `avro_decode.present`; m, i4, i8, f4, f8 are the same memory as bytes and as numbers."""
    for k in range(len(chosen)):
        column = layout[chosen[k]]
        n, there, values = rows[column[TABLE]], column[THERE], column[VALUES] // (8 if is_wide[k] else 4)
        number = np.int64(missing[k])
        n_present = 0
        for row in range(n):
            if is_float[k]:
                value = f8[values + row] if is_wide[k] else np.float64(f4[values + row])
                is_here = value == value and value != missing[k]
            else:
                is_here = (i8[values + row] if is_wide[k] else np.int64(i4[values + row])) != number
            is_here = is_here and (there < 0 or m[there + row] != 0)
            if is_here:
                n_present += 1
                bits[begins[k] + row // 8] |= np.uint8(1 << (row % 8))
        absent[k] = n - n_present
