"""Real packets taken to pieces: what a replayed packet is made of, with the places of the values that are its own.

A packet is its head (ids and `candidate`), one entry for each exposure of its history, and its tail (the stamps); from schema 4 on forced photometry
lies between them. Everything that is not a patch is the real packet's bytes.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.packet_splice import ARRAY_END, DOUBLE, FLOAT, LETTER, NAME, VARINT, Patch, Pieces, gathered, varint

# Columns of the tables that the values of a packet come from: a row for each head and each entry.
REALS = (
    *(
        "jd",
        "diffmaglim",
        "ra",
        "dec",
        "magpsf",
        "sigmapsf",
        "magap",
        "sigmagap",
        "magapbig",
        "sigmagapbig",
        "magdiff",
        "magfromlim",
        "scorr",
    ),
    *("distnr", "magnr", "sigmagnr", "ranr", "decnr", "fwhm", "elong", "rb", "drb", "exptime", "sgscore1", "distpsnr1"),
    *("jdstarthist", "jdendhist", "jdstartref", "jdendref", "magzpsci", "forcediffimflux", "forcediffimfluxunc"),
)
INTEGERS = (
    "fid",
    "pid",
    "programid",
    "candid",
    "isdiffpos",
    "nid",
    "rcid",
    "field",
    "nbad",
    "ndethist",
    "ncovhist",
    "n_history",
    "n_forced",
)
# magzpsci belongs to the forced fluxes; elsewhere it stays the template's.
_FORCED_ONLY = ("magzpsci", "forcediffimflux", "forcediffimfluxunc")
_MEASURED = tuple(name for name in (*REALS, *INTEGERS) if name not in _FORCED_ONLY)
_OF_LIMIT = ("jd", "fid", "pid", "programid", "nid", "rcid", "field", "diffmaglim")
_OF_FORCED = (*_OF_LIMIT, "exptime", "distnr", "magnr", "sigmagnr", "ranr", "decnr", *_FORCED_ONLY)
_CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
_MOST_PACKETS, _MOST_ENTRIES = 512, 1024  # of either, for one task's memory
_SYNC = 16  # [byte]

Record = Mapping[str, Any]
Piece = tuple[bytes, list[Patch]]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Templates:
    """Pieces of the packets of one writer schema; of each kind of piece the numbers of those that are such.

    schema : its text   header : bytes before a packet's block in a container, ends with the sync marker   middle : -1 before schema 4
    """

    schema: str
    header: bytes
    pieces: Pieces
    heads: Numbers
    detections: Numbers
    limits: Numbers
    middle: int
    forced: Numbers
    bare_tail: int
    stamped_tails: Numbers

    @property
    def sync(self) -> bytes:
        """The container's sync marker."""
        return self.header[-_SYNC:]


@lru_cache(maxsize=2)
def load(path: str) -> Templates:
    """Templates from an archive or a folder of archives: the packets of the schema that most of them have, without known asteroids.

    NoInputError where there are none, or none of them has a detection and a limit in its history.
    """
    packets = [(content, _record(content)) for content in _packets(Path(path).expanduser())]
    usable = [(content, record) for content, record in packets if record["candidate"].get("ssnamenr") in (None, "null")]
    if not usable:
        raise NoInputError(f"{path}: expected ZTF archives with packets to replay; --templates says where they are")
    schemas = Counter(_schema_text(content) for content, _ in usable)
    most = max(schemas, key=lambda text: (schemas[text], text))
    chosen = [(content, record) for content, record in usable if _schema_text(content) == most][:_MOST_PACKETS]
    return _taken_apart(path, most, chosen)


def _taken_apart(path: str, schema_text: str, packets: Sequence[tuple[bytes, Record]]) -> Templates:
    fields = {field["name"]: field["type"] for field in json.loads(schema_text)["fields"]}
    entry = _named_type(fields["prv_candidates"], "array")["items"]
    records = [record for _, record in packets]
    past = [item for record in records for item in record["prv_candidates"] or ()]
    detections = [item for item in past if item["magpsf"] is not None][:_MOST_ENTRIES]
    limits = [item for item in past if item["magpsf"] is None][:_MOST_ENTRIES]
    forced = [item for record in records for item in record.get("fp_hists") or () if item["procstatus"] == "0"][:_MOST_ENTRIES]
    if not detections or not limits or ("fp_hists" in fields and not forced):
        raise NoInputError(f"{path}: no packet of schema {records[0].get('schemavsn')} with detections and limits in its history")
    made: list[Piece] = []

    def added(pieces: Sequence[Piece]) -> Numbers:
        made.extend(pieces)
        return np.arange(len(made) - len(pieces), len(made))

    heads = added([_head(fields, record) for record in records])
    numbers = (
        added([_of_record(entry, item, _MEASURED) for item in detections]),
        added([_of_record(entry, item, _OF_LIMIT) for item in limits]),
    )
    middle, of_forced = -1, np.zeros(0, np.int64)
    if "fp_hists" in fields:
        forced_entry = _named_type(fields["fp_hists"], "array")["items"]
        middle = int(added([_array_begin(fields["fp_hists"], "n_forced", _end_of("n_history"))])[0])
        of_forced = added([_of_record(forced_entry, item, _OF_FORCED) for item in forced])
    end = _end_of("n_forced" if "fp_hists" in fields else "n_history")
    bare = int(added([_tail(fields, dict.fromkeys(_CUTOUTS), end)])[0])
    stamped = added([_tail(fields, record, end) for record in records])
    header = packets[0][0][: packets[0][0].index(packets[0][0][-_SYNC:]) + _SYNC]
    return Templates(schema_text, header, gathered(made), heads, *numbers, middle, of_forced, bare, stamped)


def _head(fields: Mapping[str, Any], record: Record) -> Piece:
    """Everything before the history's entries."""
    content: bytes = b""
    patches: list[Patch] = []
    for name, kind in fields.items():
        if name == "prv_candidates":
            return _array_begin(kind, "n_history", (content, patches))
        if name == "candidate":
            content, patches = _joined((content, patches), _of_record(kind, record[name], _MEASURED))
        elif name == "objectId":
            content, patches = _with_value(content, patches, kind, record[name], NAME, 0)
        elif name == "candid":
            content, patches = _with_value(content, patches, kind, record[name], VARINT, INTEGERS.index(name))
        else:
            content += _encoded(kind, record[name])
    raise NoInputError("the templates' schema has no prv_candidates")


def _tail(fields: Mapping[str, Any], record: Record, begin: Piece) -> Piece:
    """Everything after the entries, `begin` before it."""
    names = list(fields)
    last = max(names.index(name) for name in ("prv_candidates", "fp_hists") if name in names)
    return begin[0] + b"".join(_encoded(fields[name], record[name]) for name in names[last + 1 :]), begin[1]


def _of_record(schema: Mapping[str, Any], record: Record, names: Sequence[str]) -> Piece:
    """A record of plain fields; those called `names` become patches, also where the template has no value."""
    content: bytes = b""
    patches: list[Patch] = []
    for field in schema["fields"]:
        name, kind, value = field["name"], field["type"], record[field["name"]]
        if name not in names:
            content += _encoded(kind, value)
            continue
        of_string = name == "isdiffpos"
        table, writes = (INTEGERS, LETTER if of_string else VARINT) if name in INTEGERS else (REALS, _real_kind(kind))
        content, patches = _with_value(content, patches, kind, "t" if of_string else 0, writes, table.index(name))
    return content, patches


def _with_value(content: bytes, patches: list[Patch], kind: Any, value: Any, writes: int, column: int) -> Piece:
    """`content` and a value that is a patch: a union's branch stays before it."""
    encoded = _encoded(kind, value)
    begin = len(content) + (1 if isinstance(kind, list) else 0)
    return content + encoded, [*patches, Patch(begin, len(content) + len(encoded), writes, column)]


def _array_begin(kind: Any, count: str, before: Piece) -> Piece:
    """The branch of a list of records, if it is a union, and the number of its entries."""
    content, patches = before
    branch = varint(kind.index(_named_type(kind, "array"))) if isinstance(kind, list) else b""
    at = len(content) + len(branch)
    return content + branch + b"\0", [*patches, Patch(at, at + 1, VARINT, INTEGERS.index(count))]


def _end_of(count: str) -> Piece:
    return b"", [Patch(0, 0, ARRAY_END, INTEGERS.index(count))]


def _joined(first: Piece, second: Piece) -> Piece:
    shift = len(first[0])
    return first[0] + second[0], [*first[1], *(patch._replace(begin=patch.begin + shift, end=patch.end + shift) for patch in second[1])]


def _real_kind(kind: Any) -> int:
    return DOUBLE if "double" in (kind if isinstance(kind, list) else [kind]) else FLOAT


def _named_type(kind: Any, name: str) -> Any:
    """The branch of a union, or the type itself, that is an array or a record."""
    return next(branch for branch in (kind if isinstance(kind, list) else [kind]) if isinstance(branch, dict) and branch["type"] == name)


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "int": lambda value: varint(int(value)),
    "long": lambda value: varint(int(value)),
    "float": lambda value: struct.pack("<f", value),
    "double": lambda value: struct.pack("<d", value),
    "string": lambda value: varint(len(value.encode())) + value.encode(),
    "bytes": lambda value: varint(len(value)) + value,
    "null": lambda value: b"",
}


def _encoded(kind: Any, value: Any) -> bytes:
    """A value of a plain type, of a union of one type and null, or a stamp: {fileName, stampData}."""
    if isinstance(kind, list):
        branch = next(i for i, one in enumerate(kind) if (one == "null") == (value is None))
        return varint(branch) + _encoded(kind[branch], value)
    if isinstance(kind, str) and kind in _ENCODERS:
        return _ENCODERS[kind](value)
    return _ENCODERS["string"](value["fileName"]) + _ENCODERS["bytes"](value["stampData"])


def _packets(path: Path) -> Iterator[bytes]:
    """The members of an archive, or of all archives in a folder."""
    if not path.exists():
        raise NoInputError(f"{path}: no such archive or folder; --templates says where real packets are")
    for archive in sorted(path.glob("*.tar*")) if path.is_dir() else [path]:
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is not None:
                    yield content.read()


def _record(packet: bytes) -> Record:
    record: Any = next(iter(fastavro.reader(io.BytesIO(packet))))
    return dict(record)


def _schema_text(packet: bytes) -> str:
    return str(fastavro.reader(io.BytesIO(packet)).metadata["avro.schema"])
