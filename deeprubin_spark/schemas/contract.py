"""What a Delta table promises: columns with type, unit and meaning, its key, its layout and its checks.

One `Table` gives the Spark StructType, the Arrow schema, the column comments and the data dictionary, so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as t

from deeprubin_spark.errors import ContractError

_SCALARS: dict[str, tuple[t.DataType, pa.DataType]] = {
    "string": (t.StringType(), pa.string()),
    "boolean": (t.BooleanType(), pa.bool_()),
    "byte": (t.ByteType(), pa.int8()),
    "int": (t.IntegerType(), pa.int32()),
    "long": (t.LongType(), pa.int64()),
    "float": (t.FloatType(), pa.float32()),
    "double": (t.DoubleType(), pa.float64()),
    "binary": (t.BinaryType(), pa.binary()),
    "date": (t.DateType(), pa.date32()),
    "timestamp": (t.TimestampType(), pa.timestamp("us", tz="UTC")),
}


@dataclass(frozen=True)
class Column:
    """A column or a field of a nested record.

    `type`: a scalar of `_SCALARS`, `array<scalar>`, `map<string,scalar>` or `array<struct>` (then `fields` holds the record).
    `unit` as in VOUnit, '1' for a pure number, '' where a unit has no meaning. `ucd`: IVOA Unified Content Descriptor.
    """

    name: str
    type: str
    unit: str = ""
    ucd: str = ""
    doc: str = ""
    required: bool = False
    fields: tuple[Column, ...] = ()

    @property
    def comment(self) -> str:
        """Text of the Delta column comment: the unit first."""
        return f"[{self.unit}] {self.doc}" if self.unit else self.doc

    def spark_type(self) -> t.DataType:
        """This column's type in Spark."""
        if self.type == "array<struct>":
            return t.ArrayType(t.StructType([c.spark_field() for c in self.fields]))
        if self.type.startswith("array<"):
            return t.ArrayType(_SCALARS[self.type[6:-1]][0])
        if self.type.startswith("map<string,"):
            return t.MapType(t.StringType(), _SCALARS[self.type[11:-1]][0])
        return _SCALARS[self.type][0]

    def spark_field(self) -> t.StructField:
        """This column as a StructField with its comment."""
        return t.StructField(self.name, self.spark_type(), nullable=not self.required, metadata={"comment": self.comment})

    def arrow_type(self) -> pa.DataType:
        """This column's type in Arrow."""
        if self.type == "array<struct>":
            return pa.list_(pa.struct([c.arrow_field() for c in self.fields]))
        if self.type.startswith("array<"):
            return pa.list_(_SCALARS[self.type[6:-1]][1])
        if self.type.startswith("map<string,"):
            return pa.map_(pa.string(), _SCALARS[self.type[11:-1]][1])
        return _SCALARS[self.type][1]

    def arrow_field(self) -> pa.Field:
        """This column as an Arrow field."""
        return pa.field(self.name, self.arrow_type(), nullable=not self.required)


@dataclass(frozen=True)
class Table:
    """The contract of one Delta table. `checks`: name -> SQL condition that Delta enforces on every row written.

    `skip_by`: the columns whose least and greatest value Delta notes for each file, to leave files out by; of none given, those of the first 32.
    """

    name: str
    doc: str
    version: int
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    checks: dict[str, str] = field(default_factory=dict)
    skip_by: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in table order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`. ContractError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"{self.name}: no column {name!r}; columns are {', '.join(self.names)}")

    def spark_schema(self) -> t.StructType:
        """The table's StructType, comments included."""
        return t.StructType([c.spark_field() for c in self.columns])

    def arrow_schema(self, names: Iterable[str] | None = None) -> pa.Schema:
        """The table's Arrow schema, or that of the named columns."""
        return pa.schema([self.column(n).arrow_field() for n in (names or self.names)])

    def select(self, frame: DataFrame) -> DataFrame:
        """`frame` with exactly this table's columns, in order. ContractError lists every column that is missing or of another type."""
        found = {f.name: f.dataType for f in frame.schema.fields}
        problems = [
            f"{c.name}: expected {c.spark_type().simpleString()}, found {found[c.name].simpleString() if c.name in found else 'no such column'}"
            for c in self.columns
            if c.name not in found or not _same_type(found[c.name], c.spark_type())
        ]
        if problems:
            raise ContractError(f"{self.name} v{self.version}: {len(problems)} columns break the contract: " + "; ".join(problems))
        return frame.select(*self.names)

    def ddl(self) -> str:
        """The column list of CREATE TABLE, with comments."""
        lines = []
        for c in self.columns:
            null = " NOT NULL" if c.required else ""
            comment = c.comment.replace("\\", "\\\\").replace("'", "\\'")
            lines.append(f"`{c.name}` {c.spark_type().simpleString()}{null} COMMENT '{comment}'")
        return ",\n".join(lines)


def _same_type(found: t.DataType, expected: t.DataType) -> bool:
    """Equal types, whatever their nullability and comments."""
    return found.simpleString() == expected.simpleString()
