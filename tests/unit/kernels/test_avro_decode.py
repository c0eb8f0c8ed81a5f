"""Any schema and any record: the compiled decoder finds what fastavro wrote, and says where damaged bytes are."""

from __future__ import annotations

import io
import math
import struct

import fastavro
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeprubin_spark import arrow
from deeprubin_spark.kernels.avro_decode import Blocks, Columns, Failure, Room, decode, present
from deeprubin_spark.kernels.avro_machine import FULL_ROWS, FULL_TEXT, OK
from deeprubin_spark.kernels.avro_program import SchemaError, compile_schema
from tests.unit.ingestion.ztf_packets import varint

POINT = {"type": "record", "name": "point", "fields": [{"name": "t", "type": "double"}, {"name": "m", "type": ["null", "float"]}]}
CURVE = {
    "type": "record",
    "name": "curve",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "id", "type": "long"},
        {"name": "band", "type": {"type": "enum", "name": "bands", "symbols": ["g", "r"]}},
        {"name": "best", "type": ["null", POINT]},
        {"name": "points", "type": {"type": "array", "items": "point"}},
        {"name": "stamp", "type": ["bytes", "null"]},
    ],
}
LIGHT = {
    "name": "a",
    "id": 1,
    "band": "r",
    "best": {"t": 1.0, "m": None},
    "points": [{"t": 2.0, "m": 3.5}, {"t": 4.0, "m": None}],
    "stamp": b"\0",
}
DARK = {"name": "ü", "id": -(2**62), "band": "g", "best": None, "points": [], "stamp": None}


def written(schema, records):
    """The bytes of each record."""
    bodies = []
    for record in records:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, record)
        bodies.append(out.getvalue())
    return bodies


def blocks_of(bodies):
    ends = np.cumsum([len(body) for body in bodies], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    return Blocks(np.frombuffer(b"".join(bodies) or b"\0", np.uint8), starts, ends, np.ones(len(bodies), np.int64))


def room_for(program, rows=64, text=1 << 12):
    return Room(program, np.full(program.n_tables, rows), np.where(program.stored < 0, text, 0))


def read(schema, bodies, wanted=None):
    """Records, and failures by block."""
    program = compile_schema(fastavro.parse_schema(schema), wanted)
    columns = Columns(room_for(program))
    failures: dict[int, Failure] = {}
    assert decode(columns, blocks_of(bodies), 0, failures) == (len(bodies), OK, 0)
    return as_fastavro(arrow.decoded(columns, program.root).to_pylist(), schema), failures


def as_fastavro(value, schema):
    """Arrow lists maps as pairs."""
    if isinstance(value, list) and value and all(isinstance(entry, tuple) for entry in value):
        return {key: as_fastavro(entry, None) for key, entry in value}
    if isinstance(value, list):
        return [as_fastavro(entry, None) for entry in value]
    return {key: as_fastavro(entry, None) for key, entry in value.items()} if isinstance(value, dict) else value


def failure(schema, body):
    _, failures = read(schema, [body])
    return failures[0]


def test_records_come_back_as_they_were_written():
    assert read(CURVE, written(CURVE, [LIGHT, DARK, LIGHT])) == ([LIGHT, DARK, LIGHT], {})


def test_only_what_is_wanted_is_stored_and_it_is_the_same():
    bodies = written(CURVE, [LIGHT, DARK])
    found, _ = read(CURVE, bodies, ["id", "points.m", "best"])
    assert found == [
        {"id": 1, "best": {"t": 1.0, "m": None}, "points": [{"m": 3.5}, {"m": None}]},
        {"id": -(2**62), "best": None, "points": []},
    ]
    program = compile_schema(fastavro.parse_schema(CURVE), ["id", "points.m", "best"])
    assert len(program.tables) == 6


def test_a_bad_record_leaves_no_trace_among_its_neighbours():
    good = written(CURVE, [LIGHT, DARK])
    for cut in range(len(good[0])):
        found, failures = read(CURVE, [good[1], good[0][:cut], good[0], good[0] + b"\0", good[1]])
        assert found == [DARK, LIGHT, DARK]
        assert sorted(failures) == [1, 3]
        assert failures[3].problem == "expected the end of the block, found 1 more bytes"


@pytest.mark.parametrize("wanted", [None, ["points"], ["name", "stamp"]])
def test_columns_that_fill_up_go_on_where_they_stopped(wanted):
    records = [LIGHT, DARK, LIGHT | {"name": "x" * 40, "points": LIGHT["points"] * 5}] * 20
    bodies = written(CURVE, records)
    program = compile_schema(fastavro.parse_schema(CURVE), wanted)
    whole, _ = read(CURVE, bodies[:3] * 4, wanted)
    found, at, reasons = [], 0, set()
    while at < len(bodies):
        columns = Columns(room_for(program, 10, 60))
        at, full, _ = decode(columns, blocks_of(bodies), at, {})
        reasons.add(full)
        found += arrow.decoded(columns, program.root).to_pylist()
    assert found == whole * 5
    assert reasons & {FULL_ROWS, FULL_TEXT}


def record_of(kind):
    return {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}


@pytest.mark.parametrize(
    ("kind", "body", "position", "problem"),
    [
        ("int", varint(2**31), 0, "2147483648 is not a 32-bit number"),
        ("long", b"\xff" * 11, 0, "a number longer than ten bytes"),
        ("long", b"\xff" * 9 + b"\x02", 0, "a number longer than ten bytes"),
        ("long", b"\xff", 0, "expected 2 bytes, the record ends here"),
        ("float", b"abc", 0, "expected 4 bytes, the record ends here"),
        ("double", b"abcdefg", 0, "expected 8 bytes, the record ends here"),
        ("boolean", b"", 0, "expected 1 bytes, the record ends here"),
        ("string", varint(-1), 0, "a length of -1"),
        ("bytes", varint(2**62), 9, "expected 4611686018427387904 bytes, the record ends here"),
        ("string", b"\x04\xc3\x28", 1, "text that is not UTF-8"),
        (["null", "int"], varint(2), 0, "no union branch 2"),
        (["null", "int"], varint(-1), 0, "no union branch -1"),
        (["null", "int", "string"], varint(3), 0, "no union branch 3"),
        ({"type": "enum", "name": "e", "symbols": ["a"]}, varint(1), 0, "no enum symbol 1"),
        ({"type": "array", "items": "int"}, varint(2**40), 0, "1099511627776 items cannot be in the bytes left"),
        ({"type": "array", "items": "int"}, varint(-(2**63)) + b"\0", 0, "items cannot be in the bytes left"),
        ({"type": "map", "values": "null"}, varint(5) + b"\0" * 4, 0, "5 items cannot be in the bytes left"),
        ({"type": "fixed", "name": "f", "size": 5}, b"1234", 0, "expected 5 bytes, the record ends here"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"\x02"])
def test_damage_is_told_with_its_position(kind, body, position, problem, before):
    schema = record_of(kind)
    if before:
        schema["fields"].insert(0, {"name": "first", "type": "long"})
    found = failure(schema, before + body)
    assert problem in found.problem
    assert (found.path, found.record) == ("x", 0)
    assert len(before) + position <= found.position <= len(before) + position + 1


def test_fields_that_are_not_wanted_are_stepped_over_by_length():
    kinds = [
        "int",
        "float",
        "string",
        ["null", "bytes"],
        {"type": "array", "items": ["null", "string"]},
        {"type": "map", "values": "double"},
    ]
    schema = {"type": "record", "name": "r", "fields": [{"name": f"x{i}", "type": kind} for i, kind in enumerate(kinds)]}
    schema["fields"].append({"name": "last", "type": "int"})
    record = {"x0": 1, "x1": 2.0, "x2": "abc", "x3": b"de", "x4": ["f", None], "x5": {"g": 1.0}, "last": 7}
    assert read(schema, written(schema, [record]), ["last"]) == ([{"last": 7}], {})


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "record", "name": "r", "fields": [{"name": "next", "type": ["null", "r"]}]}, "contains itself"),
        ({"type": "record", "name": "r", "fields": []}, "no bytes"),
        (record_of({"type": "array", "items": "null"}), "no bytes"),
        ({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int"}] * 2}, "two fields of one name"),
    ],
)
def test_schemas_that_no_program_can_be_made_of_are_refused(schema, said):
    with pytest.raises(SchemaError, match=said):
        compile_schema(fastavro.parse_schema(schema))


def test_a_schema_that_doubles_itself_is_refused():
    fields = [{"type": "record", "name": "r0", "fields": [{"name": "a", "type": "int"}]}]
    fields += [{"type": "record", "name": f"r{i}", "fields": [{"name": n, "type": f"r{i - 1}"} for n in "ab"]} for i in range(1, 40)]
    fields[20] = {"type": "array", "items": fields[20]}
    schema = {"type": "record", "name": "all", "fields": [{"name": f"f{i}", "type": field} for i, field in enumerate(fields)]}
    with pytest.raises(SchemaError, match="too large"):
        compile_schema(fastavro.parse_schema(schema))


def test_negative_block_counts_carry_a_length_that_is_not_needed():
    schema = record_of({"type": "array", "items": "int"})
    body = varint(-2) + varint(99) + varint(5) + varint(6) + varint(1) + varint(7) + b"\0"
    assert read(schema, [body]) == ([{"x": [5, 6, 7]}], {})


def test_numbers_that_mean_missing_and_nan_are_not_present():
    schema = {"type": "record", "name": "r", "fields": [{"name": "f", "type": ["null", "float"]}, {"name": "i", "type": "int"}]}
    values = [(1.0, 1), (None, -999), (math.nan, 3), (-999.0, 4)] * 5
    program = compile_schema(fastavro.parse_schema(schema))
    columns = Columns(room_for(program))
    decode(columns, blocks_of(written(schema, [{"f": f, "i": i} for f, i in values])), 0, {})
    bits, begins, absent = present(columns, np.array([-1, 1]), np.array([-999.0, -999.0]))
    found = [np.unpackbits(bits[begin:], bitorder="little")[:20].tolist() for begin in begins]
    assert found == [[1, 0, 0, 0] * 5, [1, 0, 1, 1] * 5]
    assert absent.tolist() == [15, 5]


def schemas(depth=3):
    simple = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "string", "bytes"])
    if depth == 0:
        return simple
    inner = schemas(depth - 1)
    return st.one_of(
        simple,
        inner.filter(lambda kind: kind != "null").map(lambda kind: kind if isinstance(kind, list) else ["null", kind]),
        st.builds(lambda kind: {"type": "array", "items": kind}, inner.filter(takes_bytes)),
        st.builds(lambda kind: {"type": "map", "values": kind}, inner),
        st.lists(inner, min_size=1, max_size=4).map(lambda kinds: {"type": "record", "fields": list(enumerate(kinds))}),
        st.just(["string", "null", "long", "double"]),
        st.just({"type": "enum", "symbols": ["a", "b", "c"]}),
        st.just({"type": "fixed", "size": 3}),
    )


def takes_bytes(kind):
    if isinstance(kind, dict) and kind["type"] == "record":
        return any(takes_bytes(field) for _, field in kind["fields"])
    return kind != "null"


def named(kind, names):
    """The schema with a name for every type that must have one."""
    if isinstance(kind, list):
        return [named(branch, names) for branch in kind]
    if not isinstance(kind, dict):
        return kind
    made = dict(kind)
    if kind["type"] in ("record", "enum", "fixed"):
        made["name"] = f"t{next(names)}"
    if kind["type"] == "record":
        made["fields"] = [{"name": f"f{i}", "type": named(field, names)} for i, field in kind["fields"]]
    for key in ("items", "values"):
        if key in kind:
            made[key] = named(kind[key], names)
    return made


def values(kind):
    if isinstance(kind, list):
        return st.one_of([values(branch) for branch in kind])
    if isinstance(kind, dict):
        of_kind = {
            "array": lambda: st.lists(values(kind["items"]), max_size=4),
            "map": lambda: st.dictionaries(st.text(max_size=3), values(kind["values"]), max_size=3),
            "record": lambda: st.fixed_dictionaries({f["name"]: values(f["type"]) for f in kind["fields"]}),
            "enum": lambda: st.sampled_from(kind["symbols"]),
            "fixed": lambda: st.binary(min_size=3, max_size=3),
        }
        return of_kind[kind["type"]]()
    simple = {
        "null": st.none(),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(width=32, allow_nan=False),
        "double": st.floats(allow_nan=False),
        "string": st.text(max_size=8),
        "bytes": st.binary(max_size=8),
    }
    return simple[kind]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_record_of_any_schema_is_read_as_fastavro_reads_it(data):
    kinds = data.draw(st.lists(schemas(), min_size=1, max_size=4).filter(lambda kinds: any(map(takes_bytes, kinds))))
    schema = named({"type": "record", "fields": list(enumerate(kinds))}, iter(range(10**6)))
    records = data.draw(st.lists(values(schema), min_size=1, max_size=3))
    bodies = written(schema, records)
    expected = [fastavro.schemaless_reader(io.BytesIO(body), schema, None) for body in bodies]
    program = compile_schema(fastavro.parse_schema(schema))
    columns = Columns(room_for(program, 500))
    failures: dict[int, Failure] = {}
    assert decode(columns, blocks_of(bodies), 0, failures) == (len(bodies), OK, 0)
    assert not failures
    assert same(arrow.decoded(columns, program.root).to_pylist(), expected)


def same(ours, theirs):
    """Equal, maps as Arrow lists them, and in the bits of numbers."""
    if isinstance(theirs, dict):
        pairs = dict(ours) if isinstance(ours, list) else ours
        return pairs.keys() == theirs.keys() and all(same(pairs[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float):
        return struct.pack("d", ours) == struct.pack("d", theirs)
    return ours == theirs and type(ours) is type(theirs)
