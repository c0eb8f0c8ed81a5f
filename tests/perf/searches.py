"""The searches' passes over the objects of a night."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from deeprubin_spark import arrow
from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels.measurements import DETECTION, MODEL_RECORD
from deeprubin_spark.searches.technosignatures import star_pass
from tests.perf.clock import cheapest
from tests.perf.light_curves import repeated, standard_mix
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_OBJECTS, TIMES = 200, 10
_REFERENCE = 3e5  # [nJy] AB 17.7


def technosignatures(place: Workplace) -> Measured:
    """All tests of stars and of their copies with nights exchanged, from Arrow to Arrow; one star of ten has a distance."""
    batch = _batch()
    search = star_pass()
    rows = sum(found.num_rows for found in search([batch]))
    core_us = cheapest(lambda: list(search([batch])), batch.num_rows)
    return Measured(core_us, batch.num_rows, accuracy={"rows handed on": rows})


def _batch() -> pa.RecordBatch:
    """The mix of light curves as stars, one batch of a night."""
    curves = repeated(standard_mix(N_OBJECTS), TIMES)
    n, rng = curves.n_objects, np.random.default_rng(2)
    records = np.zeros(len(curves.mjd), MODEL_RECORD)
    records["mjd"], records["flux_njy"], records["flux_err_njy"] = curves.mjd, curves.flux, curves.flux_err
    records["limit_njy"], records["kind"] = np.nan, DETECTION
    records["band"] = np.where(curves.band == band_index("g"), band_index("g"), band_index("r"))
    has_distance = np.arange(n) % 10 == 0
    numbers = {
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": rng.uniform(-30.0, 80.0, n),
        "star_score": np.full(n, 0.99),
        "star_separation": np.where(has_distance, 0.5, np.nan),
        "distance_pc": np.where(has_distance, 30.0, np.nan),
        "distance_err_pc": np.where(has_distance, 0.3, np.nan),
        "period": np.full(n, np.nan),
        "s_phys": np.full(n, 10.0),
        "reference_g": np.full(n, _REFERENCE),
        "reference_r": np.full(n, _REFERENCE),
    }
    return pa.RecordBatch.from_pydict(
        {
            "survey": pa.array(["ztf"] * n),
            "object_id": pa.array([f"o{k}" for k in range(n)]),
            "night": pa.array([dt.date(2018, 11, 29)] * n),
            "star": pa.array(["host" if known else None for known in has_distance], pa.string()),
            "best_model": pa.array(["dip"] * n),
            "gates": pa.array([""] * n),
            "key": pa.array(np.arange(n) * 7919),
            "points": arrow.bytes_of(records, curves.offsets),
            **{name: arrow.nullable(values, pa.float64()) for name, values in numbers.items()},
        }
    )


ROWS = (
    Row(
        "technosignatures",
        "all tests of a star, and of its copy with nights exchanged",
        "object",
        technosignatures,
        most_core_us=60.0,
    ),
)
