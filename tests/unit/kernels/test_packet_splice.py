"""Spliced packets are, byte for byte, what plain Python and fastavro write."""

from __future__ import annotations

import io

import fastavro
import numpy as np
import pytest

from deeprubin_spark.kernels.packet_splice import (
    ARRAY_END,
    DOUBLE,
    FLOAT,
    LETTER,
    NAME,
    VARINT,
    Patch,
    gathered,
    spliced,
    spliced_plainly,
    varint,
)

INTEGERS = [0, -1, 1, 63, 64, -64, -65, 8191, 8192, 2**31, -(2**40), 2**62, -(2**63), 2**63 - 1]


@pytest.mark.parametrize("value", INTEGERS)
def test_a_varint_is_fastavros(value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, {"type": "long"}, value)
    assert varint(value) == out.getvalue()


def random_pieces(rng, n: int):
    """Pieces of random bytes with patches at random places, some of which touch."""
    made = []
    for _ in range(n):
        content = rng.bytes(rng.integers(1, 60))
        ends = np.sort(rng.integers(0, len(content) + 1, 2 * rng.integers(0, 5))).tolist()
        kinds = rng.integers(FLOAT, NAME + 1, len(ends) // 2).tolist()
        made.append(
            (content, [Patch(b, e, kind, int(rng.integers(0, 3))) for b, e, kind in zip(ends[::2], ends[1::2], kinds, strict=True)])
        )
    return gathered(made)


def test_the_compiled_form_writes_what_the_plain_one_does():
    rng = np.random.default_rng(5)
    pieces = random_pieces(rng, 40)
    starts = np.concatenate(([0], np.cumsum(rng.integers(0, 9, 200))))
    part_piece, part_row = rng.integers(0, 40, starts[-1]), rng.integers(0, len(INTEGERS), starts[-1])
    reals = rng.normal(size=(3, len(INTEGERS))) * 10.0 ** rng.integers(-30, 30, (3, len(INTEGERS)))
    integers = np.array([np.roll(INTEGERS, i) for i in range(3)])
    letters = pieces.patches[:, 2] == LETTER
    pieces.patches[letters, 3] = 0
    integers[0] = np.abs(integers[0]) % 128  # letters
    names = rng.integers(97, 123, (len(INTEGERS), 12)).astype(np.uint8)
    content, offsets = spliced(pieces, part_piece, part_row, starts, reals, integers, names)
    for i in range(200):
        parts = slice(starts[i], starts[i + 1])
        plain = spliced_plainly(pieces, part_piece[parts], part_row[parts], reals, integers, names)
        assert content[offsets[i] : offsets[i + 1]].tobytes() == plain


def test_values_of_every_kind_are_decoded_by_fastavro():
    kinds = {
        "name": "string",
        "letter": "string",
        "count": "long",
        "single": "float",
        "double": "double",
        "list": {"type": "array", "items": "long"},
    }
    schema = {"type": "record", "name": "all", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    head = [
        Patch(0, 1, NAME, 0),
        Patch(1, 2, LETTER, 0),
        Patch(2, 3, VARINT, 1),
        Patch(3, 4, FLOAT, 0),
        Patch(4, 5, DOUBLE, 1),
        Patch(5, 6, VARINT, 2),
    ]
    pieces = gathered([(b"abcdef", head), (b"x", [Patch(0, 1, VARINT, 1)]), (b"", [Patch(0, 0, ARRAY_END, 2)])])
    integers = np.array([[ord("t"), 0], [-7, 9], [2, 0]])
    reals = np.array([[0.1, 0.0], [1e-300, 0.0]])
    names = np.frombuffer(b"ZTF18abcdefg" * 2, np.uint8).reshape(2, 12)
    parts = np.array([0, 1, 1, 2, 0, 2])
    content, offsets = spliced(pieces, parts, np.array([0, 0, 1, 0, 1, 1]), np.array([0, 4, 6]), reals, integers, names)
    first, second = (
        fastavro.schemaless_reader(io.BytesIO(content[b:e].tobytes()), schema, None) for b, e in zip(offsets, offsets[1:], strict=False)
    )
    assert first == {
        "name": "ZTF18abcdefg",
        "letter": "t",
        "count": -7,
        "single": float(np.float32(0.1)),
        "double": 1e-300,
        "list": [-7, 9],
    }
    assert second["list"] == []


def test_a_piece_that_is_not_there_is_an_error():
    pieces = gathered([(b"a", [])])
    nothing = np.zeros((0, 1)), np.zeros((0, 1), np.int64), np.zeros((0, 12), np.uint8)
    with pytest.raises(ValueError, match="pieces 0 to 0 expected, found 1 to 1"):
        spliced(pieces, np.array([1]), np.array([0]), np.array([0, 1]), *nothing)
    content, offsets = spliced(pieces, np.zeros(0, np.int64), np.zeros(0, np.int64), np.array([0]), *nothing)
    assert len(content) == 0 and offsets.tolist() == [0]
