"""What the supernovae of some nights say: their map and rates, rings of a disc like ours, and stars with planets near explosions to come.

Each object counts once, by its latest score among the nights. A night of few supernovae says little; a year of nights, given as one range, says more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.kernels import galactic_disc, sky, sterilisation, supernova_rates
from deeprubin_spark.kernels.poisson_limits import weighted_limits
from deeprubin_spark.kernels.separations import half_angle_squared_sine, separation
from deeprubin_spark.kernels.supernova_rates import WHOLE_SKY
from deeprubin_spark.schemas import HABITABILITY_HEALPIX, HABITABILITY_NEARBY, HABITABILITY_RATE, HABITABILITY_RING, contract
from deeprubin_spark.searches import catalogues
from deeprubin_spark.searches.supernova_events import GIGAYEAR, PROBABILITIES

Batches = Iterable[pa.RecordBatch]

MAP_ORDER = 6
PIXEL_AREA = WHOLE_SKY / (12 * 4**MAP_ORDER)  # [deg2]
_EXPOSURE_OF_DAY = PIXEL_AREA / 365.25  # [deg2 yr] of a pixel
_UNIT = 1e-9  # [1] of sums of probabilities
VISIBLE_DAYS = 40  # [d] for which a supernova is seen, so that a first night also sees those of the days before it (assumed)
LIMITING_MAGNITUDE = 19.5  # a magnitude above ZTF's depth: five detections are wanted (assumed)
FARTHEST = 80.0  # [Mpc] as far as the catalogue of galaxies reaches
N_RINGS = 20
N_DRAWS, SEED = 4_000, 1
_OF_MODEL = ("survey", "model_version")
_GROUPS = {"ia": "p_ia", "cc": "p_cc", "slsn": "p_slsn"}  # what the map tells apart
_IN_DISC = ("SNIa", "SNII", "SNIbc")


def pixels_of(kinds: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """The pixels in which `with_kinds` rows of these nights, of one survey, lie: what the map, rates and rings are made of. All in one pass.

    survey, model_version, healpix      nights [1] on which somebody looked, also in vain: objects may be abstained      days [d] of exposure
    n_objects [1] scored there at last      a record of total and square for the probabilities of each kind, and of core collapse together
    """
    placed = _placed(kinds)
    if len(nights) > 1:  # each object once, by its latest score
        scored_on = F.max(F.when(F.col("p_ia").isNotNull(), F.col("night"))).over(Window.partitionBy(*_OF_MODEL, "object_id"))
        placed = placed.withColumn("scored_on", scored_on)
        placed = placed.withColumns({p: F.when(F.col("night") == F.col("scored_on"), F.col(p)) for p in PROBABILITIES.values()})
    together = placed.withColumn("p_cc", F.col("p_ii") + F.col("p_ibc"))
    return together.groupBy(*_OF_MODEL, "healpix").agg(
        F.size(F.collect_set("night")).alias("nights"),
        (F.datediff(F.max("night"), F.min("night")) + F.lit(1 + VISIBLE_DAYS)).alias("days"),
        F.count("p_ia").alias("n_objects"),
        *(_record(name, F.col(name), F.col(name) * F.col(name)) for name in (*PROBABILITIES.values(), "p_cc")),
    )


def map_of(pixels: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """`habitability_healpix` rows of `pixels_of` rows of these nights, ascending."""
    wanted = [F.col(f"{p}.{part}").alias(f"{part}_n_{name}") for name, p in _GROUPS.items() for part in ("total", "square")]
    columns = [*(F.col(c) for c in (*_OF_MODEL, "healpix", "first_night", "night", "nights", "exposure")), *wanted]
    rows = pixels.withColumns({**_window(nights), "exposure": F.col("days") * F.lit(_EXPOSURE_OF_DAY)}).select(*columns)
    return HABITABILITY_HEALPIX.select(rows.mapInArrow(_with_rates, HABITABILITY_HEALPIX.spark_schema()))


def rates_of(pixels: DataFrame, events: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """`habitability_rate` rows of `pixels_of` and `habitability_event` rows of these nights, ascending, of one survey."""
    sums = (_record(p, F.col(f"{p}.total"), F.col(f"{p}.square")) for p in PROBABILITIES.values())
    exposed = (F.sum("days") * F.lit(_EXPOSURE_OF_DAY)).alias("exposure")
    of_model = pixels.groupBy(*_OF_MODEL).agg(exposed, F.sum("n_objects").alias("n_objects"), *sums)
    kinds = F.explode(F.array(*(F.struct(F.lit(kind).alias("kind"), F.col(p).alias("n")) for kind, p in PROBABILITIES.items())))
    counted = of_model.where("n_objects > 0").select(*_OF_MODEL, "exposure", "n_objects", kinds.alias("of"))
    near = _latest_events(events).where("absolute_magnitude IS NOT NULL").mapInArrow(_per_volume, _NEAR.spark_schema())
    weight = F.col("weight")
    weights = F.struct(_ordered_sum(weight).alias("total"), _ordered_sum(weight * weight).alias("square")).alias("volume")
    of_volume = near.groupBy(*_OF_MODEL, "kind").agg(_sum(F.col("p")).alias("n_with_host"), weights)
    rows = counted.select("*", "of.kind", "of.n").join(of_volume, [*_OF_MODEL, "kind"], "left").withColumns(_window(nights))
    wanted = [F.col(f"{name}.{part}").alias(f"{part}_{name}") for name in ("n", "volume") for part in ("total", "square")]
    columns = [*(F.col(c) for c in (*_OF_MODEL, "kind", "first_night", "night", "n_objects", "exposure", "n_with_host")), *wanted]
    return HABITABILITY_RATE.select(rows.select(*columns).mapInArrow(_with_limits, HABITABILITY_RATE.spark_schema()))


def rings_of(pixels: DataFrame, events: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """`habitability_ring` rows: the model's rings, with the supernovae seen as far from their hosts' centres."""
    rings = disc_rings()
    types = ", ".join(f"{name} {HABITABILITY_RING.column(name).type}" for name in rings.columns)
    model = pixels.sparkSession.createDataFrame(rings, types)
    placed = _latest_events(events).where("offset_kpc IS NOT NULL").withColumn("ring", F.floor("offset_kpc").cast("int"))
    seen = placed.groupBy(*_OF_MODEL, "ring").agg(_sum(F.col("p_ia")).alias("n_ia"), _sum(F.col("p_ii") + F.col("p_ibc")).alias("n_cc"))
    rows = pixels.select(*_OF_MODEL).distinct().crossJoin(F.broadcast(model)).join(seen, [*_OF_MODEL, "ring"], "left")
    return HABITABILITY_RING.select(rows.fillna(0.0, ["n_ia", "n_cc"]).withColumns(_window(nights)))


def disc_rings() -> pd.DataFrame:
    """The model's columns of `habitability_ring`, a row a ring from the centre outwards; the same every time."""
    radius = np.arange(N_RINGS) + 0.5
    rates = np.stack([galactic_disc.density_of(kind, radius) for kind in _IN_DISC], axis=1)
    low, median, high = np.quantile(_draws(rates, _IN_DISC), [0.16, 0.5, 0.84], axis=0)
    # An interacting supernova is a type II that reaches farther: it is taken out of these.
    interacting = galactic_disc.density_of("SNIIn", radius)
    with_x_rays = np.column_stack([rates, interacting])
    with_x_rays[:, _IN_DISC.index("SNII")] -= interacting
    fraction = galactic_disc.planet_fraction(radius)
    return pd.DataFrame(
        {
            "ring": np.arange(N_RINGS, dtype=np.int32),
            "radius_kpc": radius,
            "rate_ia": galactic_disc.TYPE_IA.density(radius) * GIGAYEAR,
            "rate_cc": galactic_disc.CORE_COLLAPSE.density(radius) * GIGAYEAR,
            "star_density": galactic_disc.star_density(radius),
            "p_kill_1gyr": median,
            "p_kill_1gyr_lo": low,
            "p_kill_1gyr_hi": high,
            "p_kill_1gyr_xray": np.median(_draws(with_x_rays, (*_IN_DISC, "SNIIn")), axis=0),
            "f_metal": fraction,
            "ghz_index": (1.0 - median) * fraction,
        }
    )


def nearby(session: SparkSession) -> DataFrame:
    """`habitability_nearby` rows."""
    return HABITABILITY_NEARBY.select(session.createDataFrame(nearest_hazards(), HABITABILITY_NEARBY.spark_schema()))


def is_nearby(written: DataFrame) -> bool:
    """Whether `habitability_nearby` rows are those that the bundled catalogues make."""
    wanted = nearest_hazards().sort_values("star", ignore_index=True)
    found = written.toPandas().sort_values("star", ignore_index=True)  # a row a star of the bundled catalogue: bounded
    return bool(wanted.equals(found.astype(wanted.dtypes)))


def nearest_hazards() -> pd.DataFrame:
    """Each known star with planets and the progenitor with the smallest margin: the columns of `habitability_nearby`."""
    known, stars, progenitors = catalogues.kinds(), catalogues.table("planet_hosts.csv"), catalogues.table("progenitors.csv")
    kind = np.array([known.at(name) for name in progenitors["kind"]])
    ra, dec = stars["ra"].to_numpy()[:, None], stars["dec"].to_numpy()[:, None]
    h = half_angle_squared_sine(ra, dec, progenitors["ra"].to_numpy(), progenitors["dec"].to_numpy())
    near, far = stars["distance_pc"].to_numpy()[:, None], progenitors["distance_pc"].to_numpy(np.float64)
    apart, lethal = separation(near, far, h), known.lethal_distance[kind]
    best = (apart - lethal).argmin(axis=1)
    rows = np.arange(len(stars))
    # ds / dD = (D - d cos theta) / s
    slope = np.abs(far[best] - near[:, 0] * (1.0 - 2.0 * h[rows, best])) / apart[rows, best]
    dex = sterilisation.critical_distance_dex(known.hazards.energy_dex[kind])
    made = pd.DataFrame(
        {
            **{name: stars[name] for name in ("star", "ra", "dec", "distance_pc")},
            "n_planets": stars["n_planets"].astype("int32"),
            "progenitor": progenitors["name"].to_numpy()[best],
            "kind": progenitors["kind"].to_numpy()[best],
            "separation_pc": apart[rows, best],
            "separation_err_pc": slope * progenitors["distance_err_pc"].to_numpy(np.float64)[best],
            "d_crit_pc": lethal[best],
            "d_crit_pc_hi": (lethal * 10.0**dex)[best],
            "margin_pc": (apart - lethal)[rows, best],
        }
    )
    return made[list(HABITABILITY_NEARBY.names)]


def _draws(rates: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    known = catalogues.kinds()
    chosen = np.array([known.at(kind) for kind in kinds])
    hazards = sterilisation.Hazards(known.hazards.energy[chosen], known.hazards.energy_dex[chosen])
    return sterilisation.kill_draws(rates, np.full(len(kinds), galactic_disc.RATE_DEX), hazards, GIGAYEAR, N_DRAWS, SEED)


def _latest_events(events: DataFrame) -> DataFrame:
    kept = ("offset_kpc", "absolute_magnitude", "host_z", *PROBABILITIES.values())
    latest = events.groupBy(*_OF_MODEL, "object_id").agg(F.max_by(F.struct(*kept), "night").alias("last"))
    return latest.select(*_OF_MODEL, *(F.col(f"last.{name}").alias(name) for name in kept))


def _placed(rows: DataFrame) -> DataFrame:
    """Rows with a place, with their pixel in place of it."""
    names = [name for name in rows.columns if name not in ("ra", "dec")]
    schema = ", ".join(f"{name} {rows.schema[name].dataType.simpleString()}" for name in names) + ", healpix bigint"
    return rows.where("ra IS NOT NULL AND dec IS NOT NULL").mapInArrow(_pixels(names), schema)


def _pixels(names: Sequence[str]) -> Callable[[Batches], Batches]:
    shift = 2 * (sky.HEALPIX_ORDER - MAP_ORDER)

    def pixels(batches: Batches) -> Batches:
        for batch in batches:
            found = sky.healpix(arrow.floats(batch.column("ra")), arrow.floats(batch.column("dec"))) >> shift
            yield pa.RecordBatch.from_arrays([*(batch.column(name) for name in names), pa.array(found)], [*names, "healpix"])

    return pixels


def _record(name: str, value: Column, square: Column) -> Column:
    """Sums of probabilities and of their squares."""
    return F.struct(_sum(value).alias("total"), _sum(square).alias("square")).alias(name)


def _sum(probability: Column) -> Column:
    """In whole multiples of _UNIT, for the last digit of a sum of floats depends on the order of rows, which no two clusters share."""
    return F.sum(F.round(probability / F.lit(_UNIT)).cast("long")) * F.lit(_UNIT)


def _ordered_sum(value: Column) -> Column:
    """The same for a few values of any size."""
    return F.aggregate(F.array_sort(F.collect_list(value)), F.lit(0.0), lambda total, one: total + one)


def _window(nights: Sequence[dt.date]) -> dict[str, Column]:
    return {"first_night": F.lit(nights[0]), "night": F.lit(nights[-1])}


def _with_rates(batches: Batches) -> Batches:
    """Pixels with sums to pixels with rates and limits."""
    schema = HABITABILITY_HEALPIX.arrow_schema()
    for batch in batches:
        columns = {name: batch.column(name) for name in (*_OF_MODEL, "first_night", "night", "healpix", "nights", "exposure")}
        for group in _GROUPS:
            total, square = (np.nan_to_num(arrow.floats(batch.column(f"{part}_n_{group}"))) for part in ("total", "square"))
            columns[f"n_{group}"] = pa.array(total)
            columns |= _limited(f"rate_{group}", supernova_rates.rate_of_sums(total, square, arrow.floats(batch.column("exposure"))))
        yield arrow.rows_of(columns, schema, batch.num_rows)


def _with_limits(batches: Batches) -> Batches:
    """Kinds with sums to kinds with numbers, rates and limits."""
    schema = HABITABILITY_RATE.arrow_schema()
    for batch in batches:
        columns = {name: batch.column(name) for name in (*_OF_MODEL, "first_night", "night", "kind", "n_objects", "exposure")}
        exposure, near = (np.nan_to_num(arrow.floats(batch.column(name))) for name in ("exposure", "n_with_host"))
        total, square = (arrow.floats(batch.column(f"{part}_n")) for part in ("total", "square"))
        per_volume, its_square = (np.nan_to_num(arrow.floats(batch.column(f"{part}_volume"))) for part in ("total", "square"))
        columns["n_with_host"] = pa.array(near)
        columns |= _limited("n", supernova_rates.Rate(total, *weighted_limits(total, square)))
        columns |= _limited("rate", supernova_rates.rate_of_sums(total, square, exposure))
        of_volume = supernova_rates.rate_of_sums(per_volume, its_square, np.where(per_volume > 0.0, exposure, 0.0))
        columns |= _limited("volumetric_rate", of_volume)
        yield arrow.rows_of(columns, schema, batch.num_rows)


def _limited(name: str, rate: supernova_rates.Rate) -> dict[str, pa.Array]:
    parts = {name: rate.rate, f"{name}_lo": rate.low, f"{name}_hi": rate.high}
    return {column: arrow.nullable(values, pa.float64()) for column, values in parts.items()}


# An event and a kind it may be: its probability, and that times (1 + z) / V_max of one square degree [Mpc-3 deg2].
_NEAR = contract.Table(
    "near",
    doc="Weights in volume.",
    version=1,
    key=(),
    columns=(
        *(HABITABILITY_RATE.column(name) for name in (*_OF_MODEL, "kind")),
        contract.Column("p", "double"),
        contract.Column("weight", "double"),
    ),
)


def _per_volume(batches: Batches) -> Batches:
    schema = _NEAR.arrow_schema()
    for batch in batches:
        volume = supernova_rates.greatest_volume(arrow.floats(batch.column("absolute_magnitude")), LIMITING_MAGNITUDE, 1.0, FARTHEST)
        for kind, column in PROBABILITIES.items():
            p = arrow.floats(batch.column(column))
            weight = supernova_rates.volumetric_weights(p, arrow.floats(batch.column("host_z")), volume, 1.0)
            columns = {name: batch.column(name) for name in _OF_MODEL}
            columns |= {"kind": pa.array([kind] * batch.num_rows), "p": pa.array(p), "weight": pa.array(weight)}
            yield arrow.rows_of(columns, schema, batch.num_rows)
