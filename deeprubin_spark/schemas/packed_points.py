"""The columns of bytes: an object's points as a run of records of fixed length, `packed` in light-curve tables and `points` in `features`.

The night reads an object's whole history each time it is seen again. Spark takes an array of structs apart and puts it together again at every step,
value by value; bytes it only copies. So each row holds its points twice: `points`, which SQL reads, and those of their fields that the night's passes
read as bytes, which numpy takes as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import ContractError
from deeprubin_spark.kernels.measurements import KINDS, MODEL_RECORD, NO_SOURCE
from deeprubin_spark.schemas.contract import Column

# A missing number is NaN, a missing id NO_SOURCE. band, kind: positions in BAND_NAMES and KINDS. known_night: days since 1970.
RECORD = np.dtype(
    [
        ("exposure_mjd", "<f8"),
        ("mjd", "<f8"),
        ("source_id", "<i8"),
        ("packet_id", "<i8"),
        ("flux_njy", "<f8"),
        ("flux_err_njy", "<f8"),
        ("limit_njy", "<f8"),
        ("known_night", "<i4"),
        ("rb", "<f4"),
        ("band", "i1"),
        ("kind", "i1"),
    ]
)
_NAMES = tuple(MODEL_RECORD.fields or ())
PACKED = Column("packed", "binary", doc="The points again, as the night's passes read them: records of 66 bytes, schemas/packed_points.py")
REFERENCES: dict[str, Column] = {  # by band
    band: Column(
        f"reference_{band}",
        "float",
        unit="nJy",
        ucd="phot.flux.density",
        doc=f"Flux in the reference image, {band}; by the latest point that tells",
    )
    for band in ("g", "r")
}

Records = NDArray[np.void]


def point_columns(fields: Mapping[str, arrow.Column], offsets: NDArray[np.int64], points: Column) -> dict[str, pa.Array]:
    """The columns `points`, of that type, `packed` and `REFERENCES` of B rows from their flat fields (N,), by time, and (B + 1,) offsets."""
    of_references = {name: arrow.nullable(flux, pa.float32()) for name, flux in references(fields, offsets).items()}
    return {
        points.name: arrow.lists_of_records(fields, offsets, points.arrow_type()),
        PACKED.name: arrow.bytes_of(packed(fields), offsets),
        **of_references,
    }


def references(fields: Mapping[str, arrow.Column], offsets: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """`REFERENCES` of B rows, (B,) [nJy] each, NaN where no point tells: flux of source plus reference less that of the source."""
    flux = arrow.floats(fields["apparent_flux_njy"]) - arrow.floats(fields["flux_njy"])
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    is_known, band = np.isfinite(flux), arrow.codes(fields["band"], tuple(REFERENCES))
    found = {}
    for at, column in enumerate(REFERENCES.values()):
        told = is_known & (band == at)
        found[column.name] = np.full(len(offsets) - 1, np.nan)
        found[column.name][owner[told]] = flux[told]  # where an object has several, the last stays
    return found


def packed(fields: Mapping[str, arrow.Column]) -> Records:
    """(N,) `RECORD` from the flat fields of points."""
    records = np.empty(len(fields["mjd"]), RECORD)
    for name in ("exposure_mjd", "mjd", "flux_njy", "flux_err_njy", "limit_njy", "rb"):
        records[name] = arrow.floats(fields[name])
    for name in ("source_id", "packet_id"):
        records[name] = arrow.longs(fields[name], NO_SOURCE)
    records["known_night"] = arrow.days(fields["known_night"])
    records["band"], records["kind"] = arrow.codes(fields["band"], BAND_NAMES), arrow.codes(fields["kind"], KINDS)
    return records


def packed_rows(points: Sequence[tuple[Any, ...]], of: Column) -> bytes:
    """`packed` of one row whose points are given as tuples in the order of the fields `of` the column `points`."""
    return packed(_flat(points, of)).tobytes()


def reference_rows(points: Sequence[tuple[Any, ...]], of: Column) -> list[float | None]:
    """`REFERENCES` of such a row."""
    found = references(_flat(points, of), np.array([0, len(points)]))
    return [float(flux[0]) if np.isfinite(flux[0]) else None for flux in found.values()]


def _flat(points: Sequence[tuple[Any, ...]], of: Column) -> dict[str, pa.Array]:
    records = [dict(zip((c.name for c in of.fields), point, strict=True)) for point in points]
    return arrow.records(pa.array([records], of.arrow_type()))


def model_points(points: Records, offsets: NDArray[np.int64]) -> pa.BinaryArray:
    """The column `points` of `features`: (N,) `RECORD` and (B + 1,) offsets to B rows of `MODEL_RECORD`."""
    records = np.empty(len(points), MODEL_RECORD)
    for name in _NAMES:
        records[name] = points[name]
    return arrow.bytes_of(records, offsets)


def model_point_rows(packed_points: bytes) -> list[dict[str, Any]]:
    """One row of `points` of `features` as records with names; a missing number is None."""
    rows = []
    for record in np.frombuffer(packed_points, MODEL_RECORD).tolist():
        row: dict[str, Any] = {name: None if value != value else value for name, value in zip(_NAMES, record, strict=True)}
        row["band"], row["kind"] = BAND_NAMES[row["band"]], KINDS[row["kind"]]
        rows.append(row)
    return rows


def unpacked(column: pa.Array, missing: int) -> tuple[Records, NDArray[np.int64]]:
    """All records of a column (N,), and (B + 1,) where each row's begin.

    ContractError where more than `missing` rows have none: rows of an older contract, which must be written again.
    """
    if column.null_count > missing:
        raise ContractError(
            f"{PACKED.name}: {column.null_count - missing} rows of light curves have no packed points, as before contract 2; "
            "run build_lightcurves for their nights again"
        )
    data, offsets = arrow.bytes_in(column)
    return data.view(RECORD), offsets // RECORD.itemsize
