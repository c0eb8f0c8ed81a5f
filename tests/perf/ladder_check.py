"""Whether the tables of a replayed night are right: counts, and a sample of its objects made again by the plain twins.

Files are read as they lie, without Spark: alerts by fastavro, light curves by the plain rule, their Gaussian process by the dense twin.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process_twin as twin
from tests.plain_light_curve import plain_rule

ONE_IN = 1000  # objects of the sample
_ALERTS = 50  # of each file of alerts
_MOST_PROCESSES = 300  # that are solved densely
_BANDS = ("g", "r")
_MISSING = (-999.0, "null", "")  # what the survey writes where it has nothing: NULL in the table
Rows = dict[str, dict[str, Any]]


def check(warehouse: Path, archive: Path, alerts: int, night: dt.date) -> dict[str, int]:
    """How many alerts and objects were compared. AssertionError with the object's name where a table is wrong."""
    of_night = {name: _files(warehouse, name, night) for name in ("alerts_ztf", "lightcurve_segments", "features", "scores", "anomalies")}
    counts = {name: sum(pq.read_metadata(file).num_rows for file in files) for name, files in of_night.items()}
    assert counts.pop("alerts_ztf") == alerts, f"{alerts} alerts expected"
    assert len(set(counts.values())) == 1, f"as many rows of each table expected as objects, found {counts}"
    n_alerts = _compare_alerts(_sample(of_night["alerts_ztf"], "candid"), archive)
    segments, features = (_sample(of_night[name], "object_id") for name in ("lightcurve_segments", "features"))
    base = _rows(list((warehouse / "lightcurve_base").glob("**/*.parquet")), "object_id", segments.__contains__)
    assert segments.keys() == features.keys()
    processes = 0
    for name, row in features.items():
        points = segments[name]["points"] + (base[name]["points"] if name in base else [])
        processes += _compare_object(name, row, plain_rule(points, night), processes < _MOST_PROCESSES)
    return {"alerts_compared": n_alerts, "objects_compared": len(features), "processes_compared": processes}


def _files(warehouse: Path, table: str, night: dt.date) -> list[Path]:
    return sorted(file for file in (warehouse / table).glob("**/*.parquet") if f"night={night}" in str(file.parent))


def _is_sampled(name: object) -> bool:
    return zlib.crc32(str(name).encode()) % ONE_IN == 0


def _sample(files: list[Path], key: str) -> Rows:
    return _rows(files, key, _is_sampled)


def _rows(files: list[Path], key: str, is_wanted: Callable[[Any], bool]) -> Rows:
    """Whole rows that are wanted, by key; a row group in memory at a time, and only those that hold one."""
    found: Rows = {}
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                names = parquet.read_row_group(group, columns=[key]).column(0).to_pylist()
                if rows := [i for i, name in enumerate(names) if is_wanted(name)]:
                    taken = parquet.read_row_group(group).take(pa.array(rows))
                    found |= {str(row[key]): row for row in taken.to_pylist()}
    return found


def _compare_alerts(rows: Rows, archive: Path) -> int:
    """Every field of candidates that has a column, as fastavro reads it."""
    compared = 0
    for alert in _alerts(archive):
        if not _is_sampled(alert["candid"]):
            continue
        row = rows[str(alert["candid"])]
        assert row["objectId"] == alert["objectId"]
        for name, value in alert["candidate"].items():
            if name in row and value is not None and value not in _MISSING:
                assert _agree(row[name], value), f"alert {alert['candid']}: {name} expected {value}, found {row[name]}"
        compared += 1
    return compared


def _alerts(archive: Path) -> Iterator[dict[str, Any]]:
    """Alerts of the first part of every file, by fastavro."""
    for file in sorted(archive.iterdir()):
        if file.suffix == ".parquet":
            with pq.ParquetFile(file) as parquet:
                schema = fastavro.parse_schema(json.loads(parquet.metadata.metadata[b"avro.schema"]))
                for body in next(parquet.iter_batches(_ALERTS * ONE_IN, columns=["payload"])).column(0):
                    if _may_be_sampled(body.as_py()):
                        yield fastavro.schemaless_reader(io.BytesIO(body.as_py()), schema, None)
        elif file.suffix == ".gz":
            with tarfile.open(file, "r:gz") as members:
                for member in members:
                    if _is_sampled(member.name.partition(".")[0]):
                        yield next(fastavro.reader(members.extractfile(member)))


def _may_be_sampled(body: bytes) -> bool:
    """Whether the alert's id, which follows three strings in ZTF's schema, is in the sample."""
    stream = io.BytesIO(body)
    for _ in range(3):
        stream.seek(_varint(stream), io.SEEK_CUR)
    return _is_sampled(_varint(stream))


def _varint(stream: io.BytesIO) -> int:
    number = shift = 0
    while True:
        (byte,) = stream.read(1)
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (number >> 1) ^ -(number & 1)


def _compare_object(name: str, row: dict[str, Any], points: list[dict[str, Any]], solve: bool) -> int:
    """Counts and moments of the points, and where there is a process and it is asked for, its posterior: 1 if that was compared."""
    seen = [p for p in points if p["kind"] == "detection" and not p["same_exposure"]]
    expected = {
        "n_detections": len(seen),
        "n_limits": sum(p["kind"] == "limit" for p in points),
        "max_snr": max(p["flux_njy"] / p["flux_err_njy"] for p in seen),
    }
    by_band = defaultdict(list)
    for p in seen:
        by_band[p["band"]].append(p["flux_njy"])
    if row["status"] == "ok":
        for band in _BANDS:
            flux = np.array(by_band[band])
            expected[f"n_{band}"] = len(flux)
            if len(flux) > 1:
                expected |= {f"mean_flux_{band}": flux.mean(), f"amplitude_{band}": np.ptp(flux) / 2.0}
    else:
        del expected["max_snr"]
    for feature, value in expected.items():
        assert _agree(row[feature], value), f"{name}: {feature} expected {value}, found {row[feature]}"
    if row["status"] != "ok" or not solve:
        return 0
    _compare_process(name, row, [p for p in seen if p["band"] in _BANDS])
    return 1


def _compare_process(name: str, row: dict[str, Any], seen: list[dict[str, Any]]) -> None:
    """The stored posterior is that of the stored parameters; their single precision is a millionth."""
    time, flux, flux_err = (np.array([p[field] for p in seen]) for field in ("mjd", "flux_njy", "flux_err_njy"))
    wavelength = np.array([BANDS[band_index(p["band"])].wavelength for p in seen])
    share = row["gp_jitter_share"]
    process = twin.Process(row["gp_amplitude"], row["gp_timescale"], jitter=row["gp_amplitude"] * np.sqrt(share / (1.0 - share)))
    grid = row["t_ref_mjd"] + np.frombuffer(row["grid_time"], "<f4").astype(np.float64)
    query = np.tile(grid, len(_BANDS)), np.repeat([BANDS[band_index(band)].wavelength for band in _BANDS], len(grid))
    mean, variance, _ = twin.posterior(time, wavelength, flux, flux_err, process, *query)
    off = np.abs(np.frombuffer(row["grid_mean"], "<f4") - mean).max() / np.abs(flux).max()
    assert off < 1e-3, f"{name}: posterior mean off by {off:.1e} of the peak"
    wrong = np.abs(np.frombuffer(row["grid_sd"], "<f4") / twin.widened(mean, variance, process) - 1.0).max()
    assert wrong < 1e-2, f"{name}: posterior sd off by {wrong:.1e}"


def _agree(found: object, expected: object) -> bool:
    if isinstance(expected, float | np.floating) and isinstance(found, float):
        return bool(np.isclose(found, expected, rtol=2e-6, atol=1e-30))
    return found == expected
