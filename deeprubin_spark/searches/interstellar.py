"""Links of tracklets over the nights before, their orbits, and how probable it is that these are unbound; single events beside them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from deeprubin_spark import arrow
from deeprubin_spark.kernels.earth_position import observer_positions, sun_altitudes
from deeprubin_spark.kernels.link_vetting import Links, Observed, links
from deeprubin_spark.kernels.linking import WINDOW, Clusters, clusters, tracked
from deeprubin_spark.kernels.orbit_fit import Arcs
from deeprubin_spark.kernels.ranging import ranging
from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.single_events import vetoes
from deeprubin_spark.kernels.sky_motion import motion
from deeprubin_spark.kernels.tracklets import astrometric_error
from deeprubin_spark.kernels.two_body import eccentricity, elements, sky_positions
from deeprubin_spark.schemas import INTERSTELLAR_CANDIDATES, TRACKLETS
from deeprubin_spark.searches.patches import by_group, patch, with_borders

FloatArray = NDArray[np.float64]

WINDOW_NIGHTS = int(WINDOW)
MIN_PROBABILITY, MAX_RMS, MIN_SPEED = 0.95, 0.5, 5.0  # of e > 1.02 [1], of the orbit [arcsec], far from the Sun [km/s]
MIN_ELONGATION = 2.0
ORDER, MARGIN = 2, 4.0  # patches of 14.7 deg, by where a tracklet would be in the middle of the window
_ROW = pa.struct([field for field in INTERSTELLAR_CANDIDATES.arrow_schema()])
_EPOCH = dt.date(1858, 11, 17)  # MJD 0


def orbits(tracklets: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """`interstellar_candidates` rows of kind orbit: links whose last night is one of `nights`.

    tracklets : `tracklets` rows of these nights and of the 14 before each. Known objects' are left out.
    """
    unknown = tracklets.where(F.col("known_object").isNull())
    searched = F.filter(F.array(*(F.lit(night) for night in nights)), lambda night: _is_in_window(night, F.col("night")))
    rows = unknown.select(*TRACKLETS.names, F.explode(searched).alias("search_night"))
    schema = t.StructType([*rows.schema.fields, t.StructField("patch", t.LongType()), t.StructField("home", t.LongType())])
    spread = rows.mapInArrow(_in_patches, schema).repartition("search_night", "patch")
    return INTERSTELLAR_CANDIDATES.select(
        spread.mapInArrow(by_group(_orbits_of_patch, ["search_night", "patch"]), INTERSTELLAR_CANDIDATES.spark_schema())
    )


def singles(detections: DataFrame, tracklets: DataFrame) -> DataFrame:
    """`interstellar_candidates` rows of kind single: elongated detections with nothing in the reference and no partner, a night at a time."""
    partnered = tracklets.select(F.explode("observations.source_id").alias("source_id"))
    alone = detections.where(F.col("is_lonely") & F.col("known_object").isNull() & (F.col("elongation") > MIN_ELONGATION))
    lonely = alone.join(partnered, "source_id", "left_anti").repartition("night")
    return INTERSTELLAR_CANDIDATES.select(lonely.mapInArrow(by_group(_events_of_night, ["night"]), INTERSTELLAR_CANDIDATES.spark_schema()))


def _is_in_window(night: Column, of_tracklet: Column) -> Column:
    return F.datediff(night, of_tracklet).between(0, WINDOW_NIGHTS - 1)


def _middle_of_window(night: dt.date) -> float:
    """MJD."""
    return (night - _EPOCH).days + 1.0 - 0.5 * WINDOW


def _in_patches(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows == 0:
            continue
        middle = np.array([_middle_of_window(night) for night in batch.column("search_night").to_pylist()])
        ra, dec, mjd, rate, angle = (arrow.floats(batch.column(name)) for name in ("ra", "dec", "mjd", "rate", "position_angle"))
        there = _moved(ra, dec, np.radians(angle), np.radians(rate) * (middle - mjd))
        rows, number = with_borders(*there, ORDER, MARGIN)
        taken = batch.take(pa.array(rows))
        columns = [*taken.columns, pa.array(number), pa.array(patch(*there, ORDER)[rows])]
        yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, "patch", "home"])


def _moved(ra: FloatArray, dec: FloatArray, angle: FloatArray, way: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Places `way` [rad] further along the great circle that leaves at `angle` [rad], north over east."""
    start = unit_vectors(ra, dec)
    east = np.stack([-start[:, 1], start[:, 0], np.zeros(len(start))], axis=1)
    east /= np.maximum(np.linalg.norm(east, axis=1, keepdims=True), 1e-12)
    heading = np.cos(angle)[:, None] * np.cross(start, east) + np.sin(angle)[:, None] * east
    return sky_positions(np.cos(way)[:, None] * start + np.sin(way)[:, None] * heading)


def _orbits_of_patch(rows: pa.Table) -> pa.RecordBatch:
    """Links of one search night and patch, whose last tracklet has its home here."""
    rows = rows.sort_by("tracklet_id")
    night = rows.column("search_night")[0].as_py()
    observed, ids = _observed(rows)
    seen = tracked(
        observed.arcs.offsets, observed.arcs.mjd, observed.arcs.vectors, observed.arcs.sigma, observed.arcs.observers, observed.night
    )
    tonight = (night - dt.date(1970, 1, 1)).days
    found = links(_touching(clusters(seen, _middle_of_window(night)), observed.night == tonight), observed)
    is_home = arrow.longs(rows.column("home"), -1) == arrow.longs(rows.column("patch"), -2)
    last = np.array([part[np.argmax(seen.mjd[part])] for part in np.split(found.members, found.offsets[1:-1]) if len(part)], np.int64)
    kept = np.flatnonzero(is_home[last])
    made = _described(found, kept, observed, ids, rows.column("tracklet_id").to_pylist(), night)
    return pa.RecordBatch.from_struct_array(pa.array(made, _ROW))


def _observed(rows: pa.Table) -> tuple[Observed, NDArray[np.int64]]:
    """The tracklets as bodies, and the source_id of each of their rows."""
    offsets, records = arrow.offsets(rows.column("observations")), arrow.records(rows.column("observations"))
    mjd, ra, dec, mag_err = (arrow.floats(records[name]) for name in ("mjd", "ra", "dec", "mag_err"))
    sigma = astrometric_error(np.where(np.isfinite(mag_err), mag_err, 0.2))
    ids = arrow.longs(records["source_id"], -1)
    night = arrow.days(rows.column("night")).astype(np.int64)
    return Observed(Arcs(offsets, mjd, unit_vectors(ra, dec), observer_positions(mjd), sigma), ids, night), ids


def _touching(found: Clusters, is_new: NDArray[np.bool_]) -> Clusters:
    """The clusters with a tracklet of the night."""
    kept = np.array([bool(is_new[found.members[a:b]].any()) for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)], bool)
    sizes = np.diff(found.offsets)
    offsets = np.concatenate(([0], np.cumsum(sizes[kept]))).astype(np.int64)
    return Clusters(offsets, found.members[np.repeat(kept, sizes)], found.states[kept], found.epoch)


def _described(
    found: Links, kept: NDArray[np.int64], observed: Observed, ids: NDArray[np.int64], names: list[str], night: dt.date
) -> list[dict[str, object]]:
    """A row for each link that is kept."""
    if len(kept) == 0:
        return []
    ranged, states = ranging(found.arcs, found.fit), found.fit.states
    orbit, e = elements(states), eccentricity(states)
    bounds, whole = found.arcs.offsets, _in_time(found.arcs)
    way = motion(bounds, whole.mjd, whole.vectors, whole.sigma)
    made = []
    for k in kept:
        members = found.members[found.offsets[k] : found.offsets[k + 1]]
        at = np.concatenate([np.arange(observed.arcs.offsets[m], observed.arcs.offsets[m + 1]) for m in members])
        at = at[np.argsort(observed.arcs.mjd[at], kind="stable")]
        ra, dec = sky_positions(observed.arcs.vectors[at[-1:]])
        numbers = {
            "p_unbound": ranged.p_unbound[k],
            "p_clearly_unbound": ranged.p_clearly_unbound[k],
            **dict(zip(("eccentricity_low", "eccentricity", "eccentricity_high"), ranged.eccentricity[k], strict=True)),
            "v_inf": ranged.v_inf[k],
            "v_inf_err": ranged.v_inf_sd[k],
            "epoch_mjd": found.fit.frame.epoch[k],
            "perihelion_au": orbit.perihelion[k],
            "fit_eccentricity": e[k],
            "inclination": orbit.inclination[k],
            "node": orbit.node[k],
            "argument": orbit.argument[k],
            "perihelion_mjd": found.fit.frame.epoch[k] - orbit.since_perihelion[k],
            "distance_au": 1.0 / found.fit.theta[k, 4],
            "rms": found.fit.rms[k],
            "chi2": found.fit.chi2[k],
            "great_circle_rms": way.great_circle_rms[k],
            "rate_chi2": way.rate_chi2[k],
        }
        reasons = _against(ranged.p_clearly_unbound[k], found.fit.rms[k], ranged.v_inf[k])
        made.append(
            _row("orbit", night, ids[at], float(ra[0]), float(dec[0]), observed.arcs.mjd[at], reasons)
            | {"tracklet_ids": [names[m] for m in members], "n_nights": len(np.unique(observed.night[members]))}
            | {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}
        )
    return made


def _in_time(arcs: Arcs) -> Arcs:
    order = np.lexsort((arcs.mjd, arcs.group))
    return Arcs(arcs.offsets, arcs.mjd[order], arcs.vectors[order], arcs.observers[order], arcs.sigma[order])


def _against(probability: float, rms: float, speed: float) -> list[str]:
    """What speaks against an interstellar object; unknown numbers do."""
    tests = {
        "not_clearly_unbound": probability > MIN_PROBABILITY,
        "poor_fit": rms < MAX_RMS,
        "slow": not speed <= MIN_SPEED,
    }
    return [name for name, passes in tests.items() if not passes]


def _events_of_night(rows: pa.Table) -> pa.RecordBatch:
    rows = rows.sort_by("source_id")
    mjd, ra, dec, elongation = (arrow.floats(rows.column(name)) for name in ("mjd", "ra", "dec", "elongation"))
    failed, ids = vetoes(mjd, ra, dec), arrow.longs(rows.column("source_id"), -1)
    altitude, nights = sun_altitudes(mjd), rows.column("night").to_pylist()
    made = [
        _row("single", nights[k], ids[k : k + 1], ra[k], dec[k], mjd[k : k + 1], [name for name, mask in failed.items() if mask[k]])
        | {"tracklet_ids": [], "n_nights": 1, "sun_altitude": float(altitude[k]), "elongation": float(elongation[k])}
        for k in range(len(mjd))
    ]
    return pa.RecordBatch.from_struct_array(pa.array(made, _ROW))


def _row(
    kind: str, night: dt.date, ids: NDArray[np.int64], ra: float, dec: float, mjd: FloatArray, reasons: list[str]
) -> dict[str, object]:
    """What all rows have; detections in time."""
    text = ",".join(str(one) for one in sorted(ids.tolist()))
    return {
        "survey": "ztf",
        "night": night,
        "candidate_id": hashlib.sha256(text.encode()).hexdigest()[:16],
        "kind": kind,
        "status": "set_aside" if reasons else "candidate",
        "reason": ",".join(reasons) or None,
        "ra": float(ra),
        "dec": float(dec),
        "mjd": float(mjd[-1]),
        "source_ids": ids.tolist(),
        "n_detections": len(ids),
        "arc_days": float(mjd[-1] - mjd[0]),
    }
