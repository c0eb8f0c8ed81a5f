"""An Avro writer schema as a flat program of integers, and as the tree of columns that the program fills.

A schema of a survey's alerts has hundreds of fields, and an alert of it is read by one loop over the program's instructions (`avro_decode`):
a field that is wanted goes to its column, any other is stepped over by its length. Named types are written out where they are used, so the
program has no calls; a schema that contains itself cannot be written out and is refused.
Format: Apache Avro specification 1.11, "Schema Declaration" and "Binary Encoding".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.avro_machine import (
    BOOLEAN,
    BYTES,
    DEEPEST,
    DOUBLE,
    END,
    ENUM,
    FIXED,
    FLOAT,
    GOTO,
    INT,
    ITEMS,
    LONG,
    MARK,
    NEXT,
    NULL,
    SKIP_BYTES,
    SKIP_NUMBER,
    SKIP_TEXT,
    STRING,
    UNION,
    UNLESS_NULL,
    WIDTH,
)  # fmt: skip

_OPERATION = {
    "int": INT,
    "long": LONG,
    "float": FLOAT,
    "double": DOUBLE,
    "boolean": BOOLEAN,
    "enum": ENUM,
    "string": STRING,
    "bytes": BYTES,
}
_OPERATION |= {"fixed": FIXED, "null": NULL}
_STORED = {
    "boolean": 1,
    "int": 4,
    "float": 4,
    "enum": 4,
    "array": 4,
    "map": 4,
    "union": 4,
    "long": 8,
    "double": 8,
    "string": -1,
    "bytes": -2,
    "fixed": -2,
}
_FEWEST_BYTES = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "string": 1,
    "bytes": 1,
    "enum": 1,
    "array": 1,
    "map": 1,
}
_LONGEST_PROGRAM = 1 << 18  # a schema that doubles itself at each level ends here


class SchemaError(ValueError):
    """A schema that no program can be made of."""


@dataclass(frozen=True)
class Node:
    """A wanted value of the schema.

    kind     : Avro's name of the type; a union of null and one other type is that type with `nullable`
    table    : the rows it has one of: 0 the records themselves, others the items of an array or map
    column   : its place among the program's columns, -1 where there is nothing to store
    nullable : whether it can be missing in a row of its table, for itself or because what it is in is missing
    children : a record's fields, a union's branches, an array's items; of a map the keys and the values
    """

    name: str
    kind: str
    table: int
    column: int
    nullable: bool
    children: tuple[Node, ...] = ()
    symbols: tuple[str, ...] = ()

    def child(self, name: str) -> Node | None:
        """The field of that name, None where it does not exist or is not wanted."""
        return next((node for node in self.children if node.name == name), None)


@dataclass(frozen=True, eq=False)
class Program:
    """code: (L,) int32. Column c has one value a row of table `tables[c]`, of `stored[c]` bytes (0: none but whether it is there; -1: text; -2: binary).

    `nullable[c]`: whether it can be missing. `child[c]`: the table of an array's or map's items, else -1. `fields`: instruction -> path.
    """

    code: NDArray[np.int32]
    tables: NDArray[np.int64]
    stored: NDArray[np.int64]
    nullable: NDArray[np.bool_]
    child: NDArray[np.int64]
    n_tables: int
    fewest_bytes: int
    root: Node
    fields: Mapping[int, str] = field(repr=False)

    def field_at(self, instruction: int) -> str:
        """Path of the field that the instruction at that place reads, for a message."""
        return self.fields.get(instruction, "") or "record"


def compile_schema(schema: Any, wanted: Iterable[str] | None = None) -> Program:
    """The program that reads records of `schema` into columns.

    schema : as `fastavro.parse_schema` returns it, names in full      wanted : paths like 'candidate.jd', through arrays too; a path of a
    record means all of it; None: everything
    SchemaError for a schema that contains itself, has two fields of one name, arrays of items without bytes, or is too large.
    """
    compiler = _Compiler(None if wanted is None else frozenset(wanted))
    root = compiler.value(schema, _At("", "", 0, False, wanted is None))
    compiler.emit(END, 0, 0, 0, "")
    fewest = compiler.fewest_bytes(schema)
    if fewest == 0:
        raise SchemaError("records of this schema have no bytes")
    return Program(
        code=np.array(compiler.finished(), np.int32),
        tables=np.array([c[0] for c in compiler.columns], np.int64),
        stored=np.array([c[1] for c in compiler.columns], np.int64),
        nullable=np.array([c[2] for c in compiler.columns], np.bool_),
        child=np.array([c[3] for c in compiler.columns], np.int64),
        n_tables=compiler.n_tables,
        fewest_bytes=fewest,
        root=root or Node("", "record", 0, -1, False),
        fields=compiler.fields,
    )


@dataclass(frozen=True)
class _At:
    """Where in the schema the compiler is; `absent`: whether this can be missing in its table; `wanted`: because what it is in is."""

    path: str
    name: str
    table: int
    absent: bool
    wanted: bool

    def inside(self, name: str) -> _At:
        return _At(f"{self.path}.{name}" if self.path else name, name, self.table, self.absent, self.wanted)

    def optional(self) -> _At:
        return _At(self.path, self.name, self.table, True, self.wanted)

    def items(self, table: int) -> _At:
        return _At(self.path, self.name, table, False, self.wanted)


class _Compiler:
    def __init__(self, wanted: frozenset[str] | None) -> None:
        self._wanted = wanted or frozenset()
        self._prefixes = frozenset(path[:i] for path in self._wanted for i in range(len(path)) if path[i] == ".")
        self._named: dict[str, Any] = {}
        self._open: list[str] = []
        self._fewest: dict[str, int] = {}
        self._code: list[int] = []
        self._addresses: list[list[int]] = []
        self._depth = 0
        self.fields: dict[int, str] = {}
        self.columns: list[tuple[int, int, bool, int]] = []
        self.n_tables = 1

    def emit(self, operation: int, a: int, b: int, c: int, path: str) -> int:
        """Append an instruction; returns where it stands."""
        at = len(self._code)
        if at >= _LONGEST_PROGRAM:
            raise SchemaError("the schema is too large when its types are written out")
        self._code += [operation, a, b, c]
        self.fields[at] = path
        return at

    def finished(self) -> list[int]:
        """The code with the unions' addresses behind it."""
        code = list(self._code)
        for at in range(0, len(self._code), WIDTH):
            if code[at] == UNION:
                addresses = self._addresses[code[at + 3]]
                code[at + 3] = len(code)
                code += addresses
        return code

    def value(self, schema: Any, at: _At) -> Node | None:
        """Emit what reads a value; its node, or None where it is not wanted."""
        if not at.wanted and at.path in self._wanted:
            at = _At(at.path, at.name, at.table, at.absent, True)
        schema, kind = self._resolved(schema)
        if kind == "union":
            return self._union(schema, at)
        if kind == "record":
            return self._record(schema, at)
        if kind in ("array", "map"):
            return self._repeated(schema, kind, at)
        return self._simple(schema, kind, at, -1)

    def fewest_bytes(self, schema: Any) -> int:
        """Length [byte] that no value of `schema` goes below."""
        schema, kind = self._resolved(schema)
        if kind == "union":
            return 1 + min((self.fewest_bytes(branch) for branch in schema), default=0)
        if kind == "record":
            name = schema["name"]
            if name not in self._fewest:
                with _Open(self._open, name):
                    self._fewest[name] = sum(self.fewest_bytes(f["type"]) for f in schema["fields"])
            return self._fewest[name]
        return int(schema["size"]) if kind == "fixed" else _FEWEST_BYTES[kind]

    def _resolved(self, schema: Any) -> tuple[Any, str]:
        """The schema that a name stands for, and its kind."""
        if isinstance(schema, list):
            return schema, "union"
        if isinstance(schema, str):
            if schema in _FEWEST_BYTES:
                return schema, schema
            if schema not in self._named:
                raise SchemaError(f"type {schema!r} is not known here")
            schema = self._named[schema]
        kind = "record" if schema["type"] == "error" else schema["type"]
        if kind in ("record", "enum", "fixed"):
            self._named[schema["name"]] = schema
        elif kind not in _FEWEST_BYTES:
            raise SchemaError(f"type {kind!r} is not known here")
        return schema, kind

    def _column(self, at: _At, stored: int, child: int = -1) -> int:
        self.columns.append((at.table, stored, at.absent, child))
        return len(self.columns) - 1

    def _simple(self, schema: Any, kind: str, at: _At, null_branch: int) -> Node | None:
        """A value without parts, or one that is stepped over."""
        extra = len(schema["symbols"]) if kind == "enum" else int(schema["size"]) if kind == "fixed" else 0
        if at.wanted:
            column = -1 if kind == "null" else self._column(at, _STORED[kind])
            self.emit(_OPERATION[kind], column, null_branch, extra, at.path)
            symbols = tuple(schema["symbols"]) if kind == "enum" else ()
            return Node(at.name, kind, at.table, column, at.absent, symbols=symbols)
        if kind in ("int", "long", "enum"):
            self.emit(SKIP_NUMBER, -1, null_branch, 0, at.path)
        elif kind in ("string", "bytes"):
            self.emit(SKIP_TEXT, -1, null_branch, 0, at.path)
        else:
            self.emit(SKIP_BYTES, -1, null_branch, extra if kind == "fixed" else _FEWEST_BYTES[kind], at.path)
        return None

    def _record(self, schema: Any, at: _At) -> Node | None:
        if not at.wanted and at.path and at.path not in self._prefixes:
            at = _At("\0", at.name, at.table, at.absent, False)  # nothing in it can be wanted
        column = -1
        if at.wanted and at.absent:
            column = self._column(at, 0)
            self.emit(MARK, column, 0, 0, at.path)
        names = [f["name"] for f in schema["fields"]]
        if len(set(names)) < len(names):
            raise SchemaError(f"{schema['name']} has two fields of one name: {', '.join(n for n in set(names) if names.count(n) > 1)}")
        with _Open(self._open, schema["name"]):
            fields = [self.value(f["type"], at.inside(f["name"])) for f in schema["fields"]]
        children = tuple(node for node in fields if node)
        return Node(at.name, "record", at.table, column, at.absent, children) if children or at.wanted else None

    def _union(self, branches: list[Any], at: _At) -> Node | None:
        kinds = [self._resolved(branch)[1] for branch in branches]
        if len(branches) != 2 or kinds.count("null") != 1:
            return self._choice(branches, at)
        null_branch = kinds.index("null")
        schema, kind = self._resolved(branches[1 - null_branch])
        if kind in ("record", "array", "map"):
            begin = self.emit(UNLESS_NULL, -1, null_branch, 0, at.path)
            node = self.value(schema, at.optional())
            self._code[begin + 3] = len(self._code)
            return node
        return self._simple(schema, kind, at.optional(), null_branch)

    def _choice(self, branches: list[Any], at: _At) -> Node | None:
        """A union of any types: which branch it is, and a column for each, missing in the others' rows."""
        column = self._column(at, 4) if at.wanted else -1
        addresses: list[int] = []
        self.emit(UNION, column, len(branches), len(self._addresses), at.path)
        self._addresses.append(addresses)
        nodes, ends = [], []
        for branch in branches:
            addresses.append(len(self._code))
            nodes.append(self.value(branch, at.optional()))
            ends.append(self.emit(GOTO, -1, 0, 0, at.path))
        for end in ends:
            self._code[end + 3] = len(self._code)
        children = tuple(node for node in nodes if node)
        return Node(at.name, "union", at.table, column, at.absent, children) if children else None

    def _repeated(self, schema: Any, kind: str, at: _At) -> Node | None:
        """An array or map: its items are rows of a table of their own, if any of them is wanted."""
        items = schema["items" if kind == "array" else "values"]
        is_wanted = at.wanted or at.path in self._prefixes
        table, column = self.n_tables, -1
        if is_wanted:
            self.n_tables += 1
            column = self._column(at, 4, table)
        fewest = self.fewest_bytes(items) + (kind == "map")
        self._depth += 1
        if fewest == 0 or self._depth > DEEPEST:
            raise SchemaError(f"{at.path}: an array whose items have no bytes, or arrays within more than {DEEPEST} arrays")
        begin = self.emit(ITEMS, column, fewest, 0, at.path)
        inside = at.items(table)
        key = self._simple("string", "string", inside, -1) if kind == "map" else None
        item = self.value(items, inside)
        self.emit(NEXT, column, fewest, begin + WIDTH, at.path)
        self._depth -= 1
        self._code[begin + 3] = len(self._code)
        if not is_wanted:
            return None
        children = tuple(node for node in (key, item) if node)
        return Node(at.name, kind, at.table, column, at.absent, children)


class _Open:
    """While a record is written out its name is open; meeting it again means that it contains itself."""

    def __init__(self, names: list[str], name: str) -> None:
        self._names, self._name = names, name

    def __enter__(self) -> None:
        if self._name in self._names:
            raise SchemaError(f"type {self._name} contains itself")
        self._names.append(self._name)

    def __exit__(self, *_: object) -> None:
        self._names.pop()
