"""Objects that may be supernovae: their probabilities by kind of explosion, their hosts, and how near one like them would be lethal."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels import galactic_disc, sterilisation, supernova_rates
from deeprubin_spark.kernels.host_association import hosts_of
from deeprubin_spark.kernels.measurements import DETECTION, FORCED, MODEL_RECORD
from deeprubin_spark.schemas import HABITABILITY_EVENT
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.searches import catalogues

Batches = Iterable[pa.RecordBatch]
FloatArray = NDArray[np.float64]

PROBABILITIES = {"SNIa": "p_ia", "SNII": "p_ii", "SNIbc": "p_ibc", "SLSN-I": "p_slsn", "Kilonova": "p_kilonova"}  # kind -> its column
LEAST_PROBABILITY = 0.1  # [1] of all kinds together, of an object that gets a row as an event
SIGNIFICANT = 5.0  # [sigma] of a detection that may be the peak
GIGAYEAR = 1e9  # [yr]
_CARRIED = ("survey", "object_id", "night", "model_version", "ra", "dec", *PROBABILITIES.values())
_PEAK = Table(
    "peak",
    doc="Brightness of an object.",
    version=1,
    key=("object_id", "night"),
    columns=tuple(HABITABILITY_EVENT.column(name) for name in ("object_id", "night", "peak_flux_njy", "peak_band")),
)


def with_kinds(scores: DataFrame) -> DataFrame:
    """Rows of `scores` with the probability of each kind of explosion, the sum over the classes that are one; NULL where abstained."""
    known = catalogues.kinds()
    sums = {}
    for kind, column in PROBABILITIES.items():
        terms = [F.coalesce(F.col("probabilities")[name], F.lit(0.0)) for name in known.classes[known.at(kind)]]
        sums[column] = F.when(F.col("status") == "scored", sum(terms, F.lit(0.0)).cast("double"))
    return scores.select("survey", "object_id", "night", "model_version", "ra", "dec", *(p.alias(name) for name, p in sums.items()))


def likely(kinds: DataFrame) -> DataFrame:
    """Those of `with_kinds` rows that are an explosion with a probability of at least 0.1."""
    return kinds.where(sum((F.col(column) for column in PROBABILITIES.values()), F.lit(0.0)) >= LEAST_PROBABILITY)


def events(explosions: DataFrame, features: DataFrame) -> DataFrame:
    """`habitability_event` rows of `likely` rows.

    features : rows of the same objects and nights, for their points; all frames of one survey.
    """
    keys = list(_PEAK.key)
    seen = features.select(*keys, "points").join(explosions.select(*keys), keys, "left_semi")
    peaks = seen.mapInArrow(_peaks, _PEAK.spark_schema())
    joined = explosions.join(peaks, keys, "left").select(*_CARRIED, "peak_flux_njy", "peak_band")
    return HABITABILITY_EVENT.select(joined.mapInArrow(_described, HABITABILITY_EVENT.spark_schema()))


def _peaks(batches: Batches) -> Batches:
    schema = _PEAK.arrow_schema()
    for batch in batches:
        flux, band = brightest(batch.column("points"))
        columns = {name: batch.column(name) for name in _PEAK.key}
        columns["peak_flux_njy"] = arrow.nullable(flux, pa.float64())
        columns["peak_band"] = pa.array(BAND_NAMES, pa.string()).take(pa.array(band, mask=band < 0))
        yield arrow.rows_of(columns, schema, batch.num_rows)


def _described(batches: Batches) -> Batches:
    schema = HABITABILITY_EVENT.arrow_schema()
    for batch in batches:
        columns = {name: batch.column(name) for name in _CARRIED}
        columns |= _event_columns(batch)
        yield arrow.rows_of(columns, schema, batch.num_rows)


def _event_columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    known = catalogues.kinds()
    rows_of_kinds = np.array([known.at(kind) for kind in PROBABILITIES])
    likeliest = np.stack([arrow.floats(batch.column(name)) for name in PROBABILITIES.values()], axis=1).argmax(axis=1)
    kind = rows_of_kinds[likeliest]
    energy, dex = known.hazards.energy[kind], sterilisation.critical_distance_dex(known.hazards.energy_dex[kind])
    distance = sterilisation.critical_distance(energy)
    made = {
        "kind": _texts(known.names, kind),
        "energy_erg": pa.array(energy),
        "energy_basis": _texts(known.basis, kind),
        "energy_reference": _texts(known.references, kind),
        "d_crit_pc": pa.array(distance),
        "d_crit_pc_lo": pa.array(distance * 10.0**-dex),
        "d_crit_pc_hi": pa.array(distance * 10.0**dex),
    }
    return made | _host_columns(batch, [known.names[k] for k in kind.tolist()], distance)


def _host_columns(batch: pa.RecordBatch, kinds: list[str], lethal: FloatArray) -> dict[str, pa.Array]:
    """Brightness as it came, host, and what an explosion there would do to a disc like ours. kinds, lethal : (B,), [pc]."""
    galaxies = catalogues.galaxies()
    found = hosts_of(arrow.floats(batch.column("ra")), arrow.floats(batch.column("dec")), galaxies, catalogues.coincidences())
    has_host = found.galaxy >= 0
    far = np.where(has_host, galaxies.luminosity_distance[found.galaxy], np.nan)
    flux = arrow.floats(batch.column("peak_flux_njy"))
    risk = np.full(len(far), np.nan)
    for name in set(kinds):
        chosen = has_host & (np.array(kinds) == name)
        rate = galactic_disc.density_of(name, found.offset[chosen])
        risk[chosen] = sterilisation.kill_probability(rate[:, None], lethal[chosen][:, None], GIGAYEAR)
    numbers = {
        "host_probability": found.probability,
        "host_distance_mpc": far,
        "host_z": supernova_rates.low_redshift(far),
        "offset_kpc": found.offset,
        "absolute_magnitude": supernova_rates.absolute_magnitude(flux, far),
        "stars_inside": sterilisation.stars_inside(lethal, galactic_disc.star_density(found.offset)),
        "sterilisation_risk": risk,
    }
    names = pa.array(galaxies.name, pa.string())
    return {
        "host": names.take(pa.array(found.galaxy, mask=~has_host)),
        **{name: batch.column(name) for name in ("peak_flux_njy", "peak_band")},
        **{name: arrow.nullable(values, pa.float64()) for name, values in numbers.items()},
    }


def brightest(points: pa.Array) -> tuple[FloatArray, NDArray[np.int64]]:
    """Flux [nJy] and band of the brightest 5-sigma measurement of each row of `points` of `features`, (B,) each; NaN and -1 where there is none."""
    data, offsets = arrow.bytes_in(points)
    records = data.view(MODEL_RECORD)
    owner = np.repeat(np.arange(len(points)), np.diff(offsets) // MODEL_RECORD.itemsize)
    flux = records["flux_njy"].astype(np.float64)
    chosen = np.isin(records["kind"], (DETECTION, FORCED)) & (flux >= SIGNIFICANT * records["flux_err_njy"])
    order = np.flatnonzero(chosen)
    order = order[np.lexsort((flux[order], owner[order]))]
    is_last = np.append(owner[order][1:] != owner[order][:-1], True)[: len(order)]
    best = order[is_last]
    highest, band = np.full(len(points), np.nan), np.full(len(points), -1, np.int64)
    highest[owner[best]], band[owner[best]] = flux[best], records["band"][best]
    return highest, band


def _texts(texts: tuple[str, ...], rows: NDArray[np.int64]) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(rows))
