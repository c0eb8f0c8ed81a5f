"""What a row of points says of its reference images, against a plain walk through them."""

import math

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from deeprubin_spark.schemas import LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.schemas.packed_points import point_columns, reference_rows
from tests.contract_rows import record_of

POINTS = LIGHTCURVE_SEGMENTS.column("points")
flux = st.none() | st.floats(-1e6, 1e6, width=32)
points = st.lists(st.tuples(st.sampled_from("gri"), flux, flux), max_size=6)


def _plain(row, wanted):
    """Source plus reference less source, of the last point of the band that has both."""
    found = None
    for band, difference, apparent in row:
        if band == wanted and difference is not None and apparent is not None:
            found = apparent - difference
    return found


@given(st.lists(points, min_size=1, max_size=4))
def test_the_reference_is_that_of_the_latest_point_that_tells(rows):
    made = [
        [record_of(POINT, mjd=float(i), band=band, kind="detection", flux_njy=d, apparent_flux_njy=a) for i, (band, d, a) in enumerate(row)]
        for row in rows
    ]
    flat = [point for row in made for point in row]
    fields = {column.name: column_of(flat, column.name) for column in POINT}
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    found = point_columns(fields, offsets, POINTS)
    for band in "gr":
        expected = [_plain(row, band) for row in rows]
        told = found[f"reference_{band}"].to_pylist()
        assert [value is None for value in told] == [value is None for value in expected]
        assert all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(told, expected, strict=True) if a is not None)
    one = reference_rows([tuple(point[column.name] for column in POINT) for point in made[0]], POINTS)
    assert np.allclose(np.array(one, float), np.array([_plain(rows[0], band) for band in "gr"], float), equal_nan=True)


def column_of(flat, name):
    """One field of points as a column of its type."""
    return pa.array([point[name] for point in flat], POINTS.arrow_type().value_type.field(name).type)
