"""PLAsTiCC's simulated light curves as ZTF would have seen them.

PLAsTiCC (arXiv:1810.00001; Kessler et al. 2019, arXiv:1903.11756) simulates LSST: deeper than ZTF, in six bands, and with a flux at every visit. What trains a
classifier of ZTF alerts must look like them: bands g and r; a measurement only where the difference is 5 sigma from zero, else an upper limit; ZTF's depth and
error floor; and histories of weeks to months, not always of years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion.files import Place, read_table_of
from deeprubin_spark.ingestion.light_curve_windows import windows
from deeprubin_spark.ingestion.plasticc import CURVE_COLUMNS, NIGHT, OBJECT_COLUMNS, labels
from deeprubin_spark.ingestion.published_points import DETECTION_SN, NJY_PER_FLUXCAL
from deeprubin_spark.kernels import sky
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.packed_points import point_columns

SURVEY = "plasticc_ztf"

BANDS = {1: "g", 2: "r"}  # of PLAsTiCC's passband numbers 0 to 5 = ugrizy
LIMIT_NJY = 10.0 ** ((31.4 - 20.5) / 2.5)  # ZTF's median 5-sigma limit, 20.5 mag (Bellm et al. 2019, arXiv:1902.01932)
# [mag] Photometric repeatability of ZTF at the bright end (Masci et al. 2019, arXiv:1902.01872); the best 5 % of the carried alerts brighter than 16.5 mag
# have sigmapsf = 0.023.
ERROR_FLOOR_MAG = 0.02

_POINTS = LIGHTCURVE_SEGMENTS.column("points")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Points:
    """The points of one object in order of time: mjd [d], is_r, flux and flux_err [nJy], is_detection; all (N,)."""

    mjd: FloatArray
    is_r: NDArray[np.bool_]
    flux: FloatArray
    flux_err: FloatArray
    is_detection: NDArray[np.bool_]


def light_curves(session: SparkSession, folder: Place) -> DataFrame:
    """Rows (object_id, mjd, passband, flux, flux_err) of the set in a folder, bands g and r only; further columns are not read."""
    return read_table_of(session, folder, CURVE_COLUMNS).where(F.col("passband").isin(list(BANDS)))


def metadata(session: SparkSession, folder: Place) -> DataFrame:
    """Rows (object_id, ra, decl, target) of the set in a folder. The simulation's truth (true_*, tflux_*, libid_cadence) is never read."""
    return read_table_of(session, folder, OBJECT_COLUMNS)


def segments(metadata: DataFrame, seed: int, windows: int) -> Callable[[DataFrame], DataFrame]:
    """`light_curves` rows to lightcurve_segments rows: for each object with a detection its whole curve and up to `windows` parts of it.

    The object is called by PLAsTiCC's number, its parts <number>/w1, <number>/w2, ...: what stands before the '/' is the parent, and
    parts must stay in their parent's fold.
    """

    def transform(points: DataFrame) -> DataFrame:
        point = F.struct("mjd", "passband", "flux", "flux_err")
        curves = points.groupBy("object_id").agg(F.array_sort(F.collect_list(point)).alias("points"))
        placed = curves.join(metadata, "object_id").select("object_id", "ra", "decl", "points")
        return LIGHTCURVE_SEGMENTS.select(placed.mapInArrow(_segments_of_curves(seed, windows), LIGHTCURVE_SEGMENTS.spark_schema()))

    return transform


def write(run: Run, folder: Place) -> None:
    """Replace the survey's light curves, merge its labels, and fill the ledger. NoInputError where there are no objects."""
    settings, objects = run.settings.training, metadata(run.session, folder)
    n_simulated = objects.count()
    if n_simulated == 0:
        raise NoInputError(f"{folder}: expected one row an object in the metadata, found none")
    made = light_curves(run.session, folder).transform(segments(objects, settings.seed, settings.windows_per_object))
    run.replace_slice(LIGHTCURVE_SEGMENTS, made, nights=(NIGHT,), survey=SURVEY)
    run.merge_by_key(LABELS, labels(objects, SURVEY))
    written = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=SURVEY)
    is_part = F.col("object_id").contains("/")
    kept, parts = written.where(~is_part).count(), written.where(is_part).count()
    run.counts.update(objects=n_simulated, kept=kept, never_detected=n_simulated - kept, parts=parts)


def ztf_like(mjd: FloatArray, is_r: NDArray[np.bool_], fluxcal: FloatArray, fluxcal_err: FloatArray) -> Points:
    """One object's points at ZTF's depth and accuracy.

    F' = k F,   sigma'^2 = (k sigma)^2 + (0.02 ln(10) / 2.5 F')^2,   k = 10^((31.4 - 20.5) / 2.5) / (5 q25(sigma))

    One factor k for the whole object keeps shape, colour and signal-to-noise: its quiet points (the lowest quarter of the errors, where the source
    adds no noise of its own) get a 5-sigma limit of 20.5 mag. A detection has |F'| >= 5 sigma'.

    mjd [d], is_r, fluxcal, fluxcal_err : (N,), flux with zero point 27.5. Points that are not finite or have no positive error are left out.
    """
    usable = np.isfinite(mjd) & np.isfinite(fluxcal) & np.isfinite(fluxcal_err) & (fluxcal_err > 0.0)
    mjd, is_r = mjd[usable], is_r[usable]
    flux, flux_err = fluxcal[usable] * NJY_PER_FLUXCAL, fluxcal_err[usable] * NJY_PER_FLUXCAL
    factor = LIMIT_NJY / (DETECTION_SN * np.quantile(flux_err, 0.25)) if len(flux) else 1.0
    flux, flux_err = factor * flux, factor * flux_err
    flux_err = np.hypot(flux_err, ERROR_FLOOR_MAG * np.log(10.0) / 2.5 * flux)
    return Points(mjd, is_r, flux, flux_err, np.abs(flux) >= DETECTION_SN * flux_err)


def _segments_of_curves(seed: int, n_windows: int) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    schema = LIGHTCURVE_SEGMENTS.arrow_schema()

    def segments_of_curves(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _segment_rows(batch, seed, n_windows, schema)

    return segments_of_curves


def _segment_rows(batch: pa.RecordBatch, seed: int, n_windows: int, schema: pa.Schema) -> pa.RecordBatch:
    numbers = batch.column("object_id").to_numpy()
    offsets = arrow.offsets(batch.column("points"))
    fields = {name: arrow.floats(values) for name, values in arrow.records(batch.column("points")).items()}
    names: list[str] = []
    rows: list[int] = []
    parts: list[tuple[Points, NDArray[np.bool_]]] = []
    for row, number in enumerate(numbers):
        here = slice(offsets[row], offsets[row + 1])
        points = ztf_like(fields["mjd"][here], fields["passband"][here] == 2, fields["flux"][here], fields["flux_err"][here])
        if not points.is_detection.any():
            continue
        rng = np.random.default_rng([seed, int(number)])
        masks = [np.ones(len(points.mjd), np.bool_), *windows(points.mjd, points.is_detection, n_windows, rng)]
        names += [str(number) if i == 0 else f"{number}/w{i}" for i in range(len(masks))]
        rows += [row] * len(masks)
        parts += [(points, mask) for mask in masks]
    return pa.RecordBatch.from_arrays(_columns(batch, numbers, names, np.array(rows, np.int64), parts, schema), schema=schema)


def _columns(
    batch: pa.RecordBatch,
    numbers: NDArray[np.int64],
    names: list[str],
    rows: NDArray[np.int64],
    parts: list[tuple[Points, NDArray[np.bool_]]],
    schema: pa.Schema,
) -> list[pa.Array]:
    """Columns of the segments: `names[i]` is part `parts[i]` of the object in row rows[i] of the batch."""
    ra, dec = arrow.floats(batch.column("ra"))[rows], arrow.floats(batch.column("decl"))[rows]
    columns = {name: pa.nulls(len(names), schema.field(name).type) for name in schema.names}
    columns |= {
        "survey": pa.array([SURVEY] * len(names), pa.string()),
        "object_id": pa.array(names, pa.string()),
        "night": pa.array([NIGHT] * len(names), pa.date32()),
        "ra": pa.array(ra),
        "dec": pa.array(dec),
        "healpix": pa.array(sky.healpix(ra, dec)),
        "n_alerts": pa.array([int(points.is_detection[mask].sum()) for points, mask in parts], pa.int32()),
        **_point_columns(numbers[rows], ra, dec, parts),
    }
    return [columns[name] for name in schema.names]


def _point_columns(
    numbers: NDArray[np.int64], ra: FloatArray, dec: FloatArray, parts: list[tuple[Points, NDArray[np.bool_]]]
) -> dict[str, pa.Array]:
    counts = np.array([mask.sum() for _, mask in parts], np.int64)

    def joined(name: str) -> NDArray[np.generic]:
        empty = [np.zeros(0, bool if name.startswith("is_") else float)]
        return np.concatenate(empty + [getattr(points, name)[mask] for points, mask in parts])

    mjd, flux, flux_err = (joined(name).astype(np.float64) for name in ("mjd", "flux", "flux_err"))
    is_detection, is_r = joined("is_detection").astype(bool), joined("is_r").astype(bool)
    position = np.concatenate([np.zeros(0, np.int64)] + [np.flatnonzero(mask) for _, mask in parts])
    source = np.repeat(numbers, counts) * 100_000 + position
    fields: dict[str, pa.Array] = {field.name: pa.nulls(len(mjd), field.arrow_type()) for field in _POINTS.fields}
    fields |= {
        "exposure_mjd": pa.array(mjd),
        "mjd": pa.array(mjd),
        "band": pa.array(np.where(is_r, "r", "g")),
        "kind": pa.array(np.where(is_detection, "detection", "limit")),
        "source_id": pa.array(source, mask=~is_detection),
        "packet_id": pa.array(source),
        "known_night": pa.array([NIGHT] * len(mjd), pa.date32()),
        "flux_njy": pa.array(flux, mask=~is_detection),
        "flux_err_njy": pa.array(flux_err, mask=~is_detection),
        "limit_njy": pa.array(DETECTION_SN * flux_err),
        "ra": pa.array(np.repeat(ra, counts)),
        "dec": pa.array(np.repeat(dec, counts)),
        "cuts_failed": pa.array([""] * len(mjd), pa.string()),
    }
    return point_columns(fields, np.concatenate(([0], np.cumsum(counts))), _POINTS)
