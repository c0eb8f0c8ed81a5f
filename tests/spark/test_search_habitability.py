"""Supernovae of made-up nights: hosts, map, rates and rings; a sky scrambled flat; and the job over real nights, twice."""

import argparse
import datetime as dt
import hashlib
import shutil

import numpy as np
import pytest
from astropy_healpix import HEALPix
from deeprubin_spark.jobs import search_habitability
from pyspark.sql import functions as F
from scipy import stats

from deeprubin_spark import settings as settings_module
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels.measurements import DETECTION, LIMIT, MODEL_RECORD
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import (
    FEATURES,
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_NEARBY,
    HABITABILITY_RATE,
    HABITABILITY_RING,
    SCORES,
)
from deeprubin_spark.schemas.features import FEATURE_SET
from deeprubin_spark.searches import habitability
from deeprubin_spark.searches.supernova_events import with_kinds
from deeprubin_spark.tables import Warehouse
from tests.conftest import settings_at
from tests.contract_rows import frame_of, row_of

BEFORE, NIGHT = dt.date(2018, 11, 28), dt.date(2018, 11, 29)
IN_M82 = 148.925583, 69.673889
WRITTEN = (HABITABILITY_EVENT, HABITABILITY_HEALPIX, HABITABILITY_RATE, HABITABILITY_RING, HABITABILITY_NEARBY)


def _score(object_id, night, place, **probabilities):
    known = {"status": "scored", "probabilities": probabilities} if probabilities else {"status": "abstained", "reason": "too_few_points"}
    values = {"survey": "ztf", "object_id": object_id, "night": night, "model_version": "m1", "ra": place[0], "dec": place[1], **known}
    return row_of(SCORES, **values)


def _feature(object_id, night, *points):
    packed = np.array(
        [(58451.0 + i, flux, err, np.nan, BAND_NAMES.index(band), kind) for i, (flux, err, band, kind) in enumerate(points)], MODEL_RECORD
    )
    values = {
        "survey": "ztf",
        "object_id": object_id,
        "night": night,
        "feature_set": FEATURE_SET,
        "status": "ok",
        "n_detections": len(points),
    }
    return row_of(FEATURES, **values, points=packed.tobytes())


@pytest.fixture(scope="module")
def filled(spark, empty_warehouse, tmp_path_factory):
    """Two nights, searched together: one supernova in M82 seen on both, a likely core collapse without a host, a star, and one nobody classified."""
    scores = [
        _score("sn", BEFORE, IN_M82, **{"SNIa": 0.3, "SNIa-91bg": 0.1, "SNII": 0.6}),
        _score("sn", NIGHT, IN_M82, **{"SNIa": 0.7, "SNIa-91bg": 0.2, "SNII": 0.1}),
        _score("cc", NIGHT, (200.0, -20.0), **{"SNIbc": 0.5, "SNII": 0.3, "AGN": 0.2}),
        _score("star", NIGHT, (80.0, 10.0), **{"RRL": 0.98, "SNIa": 0.02}),
        _score("short", NIGHT, (81.0, 10.0)),
    ]
    features = [
        # The highest flux is not significant, the highest significant one is in r, and a limit is no measurement.
        _feature("sn", NIGHT, (5e6, 2e6, "g", DETECTION), (1e6, 1e4, "g", DETECTION), (2e6, 1e4, "r", DETECTION), (9e6, 1.0, "g", LIMIT)),
        _feature("cc", NIGHT, (1e4, 100.0, "g", DETECTION)),
    ]
    place = tmp_path_factory.mktemp("habitability")
    shutil.copytree(empty_warehouse, place / "warehouse")
    warehouse = Warehouse(spark, settings_at(place).warehouse)
    for table, rows in ((SCORES, scores), (FEATURES, features)):
        warehouse.replace_slice(table, frame_of(spark, table, rows), "run", nights=None)
    assert _searched(warehouse, BEFORE, NIGHT) == {"objects": 5, "events": 3, "with_host": 2}
    return warehouse


def _searched(warehouse, *nights):
    """The job's ledger."""
    made = Run("search_habitability", "ztf", nights, settings_module.load(environ={}), warehouse.session, warehouse)
    search_habitability.run(made, argparse.Namespace(dry_run=False))
    return made.counts


def _together(warehouse, table):
    """What was said of both nights together, whatever windows were searched since."""
    return warehouse.read(table).where(f"first_night = DATE'{BEFORE}'") if "first_night" in table.names else warehouse.read(table)


def _rows(warehouse, table, *keys):
    return {tuple(row[key] for key in keys): row for row in _together(warehouse, table).collect()}


def test_two_nights_of_supernovae(filled):
    events = _rows(filled, HABITABILITY_EVENT, "object_id", "night")
    sn = events[("sn", NIGHT)]
    assert (sn["host"], sn["kind"], sn["peak_band"], sn["peak_flux_njy"]) == ("NGC3034", "SNIa", "r", 2e6)
    assert sn["p_ia"] == pytest.approx(0.9) and sn["p_ii"] == pytest.approx(0.1)
    assert sn["absolute_magnitude"] == pytest.approx(31.4 - 2.5 * np.log10(2e6) - 5.0 * np.log10(sn["host_distance_mpc"] * 1e5), abs=1e-9)
    assert sn["d_crit_pc"] == pytest.approx(14.2) and sn["d_crit_pc_lo"] < 14.2 < sn["d_crit_pc_hi"]
    assert 0.0 < sn["sterilisation_risk"] < 1.0 and sn["stars_inside"] > 0.0
    assert events[("sn", BEFORE)]["kind"] == "SNII" and events[("sn", BEFORE)]["peak_flux_njy"] is None
    cc = events[("cc", NIGHT)]
    assert (cc["host"], cc["sterilisation_risk"], cc["kind"]) == (None, None, "SNIbc")

    pixels = _together(filled, HABITABILITY_HEALPIX)
    assert pixels.agg(F.sum("n_ia"), F.sum("n_cc"), F.sum("nights")).first()[:] == pytest.approx((0.92, 0.9, 5), abs=1e-6)
    one_night = habitability.PIXEL_AREA * 41.0 / 365.25
    assert pixels.where("nights = 1").first()["exposure"] == pytest.approx(one_night)
    empty = pixels.where("n_ia = 0").first()
    assert (empty["rate_ia"], empty["rate_ia_lo"]) == (0.0, 0.0) and empty["rate_ia_hi"] == pytest.approx(
        1.841 / empty["exposure"], rel=1e-3
    )

    rates = _rows(filled, HABITABILITY_RATE, "kind")
    assert {key[0]: round(row["n"], 6) for key, row in rates.items()} == {
        "SNIa": 0.92,
        "SNII": 0.4,
        "SNIbc": 0.5,
        "SLSN-I": 0.0,
        "Kilonova": 0.0,
    }
    ia = rates[("SNIa",)]
    assert (ia["n_objects"], ia["n_with_host"]) == (3, pytest.approx(0.9))
    reach = sn["host_distance_mpc"] * 10.0 ** (
        0.2 * (19.5 - (31.4 - 2.5 * np.log10(2e6)))
    )  # [Mpc] as far as it would be brighter than 19.5
    volume = reach**3 / 3.0 * (np.pi / 180.0) ** 2  # of one square degree
    assert ia["volumetric_rate"] == pytest.approx(0.9 * (1.0 + sn["host_z"]) / volume / ia["exposure"], rel=1e-6)
    assert ia["volumetric_rate_lo"] < ia["volumetric_rate"] < ia["volumetric_rate_hi"]
    assert rates[("SLSN-I",)]["volumetric_rate"] is None and rates[("SLSN-I",)]["n_hi"] == pytest.approx(1.841, abs=1e-3)

    rings = _rows(filled, HABITABILITY_RING, "ring")
    assert len(rings) == 20
    assert rings[(int(sn["offset_kpc"]),)]["n_ia"] == pytest.approx(0.9)
    assert sum(row["n_ia"] for row in rings.values()) == pytest.approx(0.9)
    assert {(row["first_night"], row["night"]) for row in rings.values()} == {(BEFORE, NIGHT)}


def test_rates_do_not_depend_on_the_order_of_rows(spark):
    p = np.random.default_rng(4).uniform(size=(60, 3)) / 3.0
    rows = [_score(f"o{i}", NIGHT, (10.0 + i % 5, 0.0), SNIa=a, SNII=b, SNIbc=c) for i, (a, b, c) in enumerate(p.tolist())]
    no_events = frame_of(spark, HABITABILITY_EVENT, [])

    def rates(of):
        pixels = habitability.pixels_of(with_kinds(frame_of(spark, SCORES, of)), [NIGHT])
        return sorted(tuple(row) for row in habitability.rates_of(pixels, no_events, [NIGHT]).drop("run_id").collect())

    assert rates(rows) == rates(rows[::-1])


def test_a_night_searched_twice_is_the_same_and_leaves_the_window_around_it_alone(filled):
    together = _content(filled, HABITABILITY_RATE, f"first_night = DATE'{BEFORE}'")
    _searched(filled, NIGHT)
    once, nearby = [_content(filled, table) for table in WRITTEN], filled.version(HABITABILITY_NEARBY)
    _searched(filled, NIGHT)
    assert [_content(filled, table) for table in WRITTEN] == once
    assert filled.version(HABITABILITY_NEARBY) == nearby, "what depends on no night is not written for every night"
    assert _content(filled, HABITABILITY_RATE, f"first_night = DATE'{BEFORE}'") == together
    assert filled.read(HABITABILITY_RATE).where(f"first_night = DATE'{NIGHT}'").count() == 5


def test_a_night_without_scores_is_empty_tables(warehouse):
    assert _searched(warehouse, NIGHT) == {"objects": 0, "events": 0, "with_host": 0}
    assert warehouse.read(HABITABILITY_HEALPIX).isEmpty() and warehouse.read(HABITABILITY_RATE).isEmpty()
    assert warehouse.read(HABITABILITY_NEARBY).count() > 3_000


def test_stars_near_explosions_to_come_are_written_again_where_the_catalogues_say_otherwise(spark):
    made = habitability.nearby(spark)
    assert habitability.is_nearby(made.orderBy(F.desc("margin_pc")))
    assert not habitability.is_nearby(made.limit(10))
    assert not habitability.is_nearby(made.withColumn("margin_pc", F.when(F.col("star") == "HD 209458", 0.0).otherwise(F.col("margin_pc"))))


def test_a_scrambled_sky_is_a_flat_map(spark):
    """2,000 supernovae at random in 256 pixels, each of which somebody looked at: counts as a flat sky would give them."""
    generator = np.random.default_rng(11)
    finest = HEALPix(nside=2**14, order="nested")
    looked = finest.healpix_to_lonlat((np.arange(256) << 16) + 7)
    drawn = finest.healpix_to_lonlat(generator.integers(0, 256 << 16, 2_000))
    rows = [_score(f"o{i}", NIGHT, (float(ra), float(dec))) for i, (ra, dec) in enumerate(zip(looked[0].deg, looked[1].deg, strict=True))]
    rows += [
        _score(f"s{i}", NIGHT, (float(ra), float(dec)), SNIa=1.0)
        for i, (ra, dec) in enumerate(zip(drawn[0].deg, drawn[1].deg, strict=True))
    ]
    found = (
        habitability.map_of(habitability.pixels_of(with_kinds(frame_of(spark, SCORES, rows)), [NIGHT]), [NIGHT])
        .select("n_ia", "rate_ia", "exposure")
        .toPandas()
    )  # 256 pixels: bounded
    assert len(found) == 256 and found["n_ia"].sum() == 2_000
    assert found["exposure"].to_numpy() == pytest.approx(habitability.PIXEL_AREA * 41.0 / 365.25)
    assert stats.chisquare(found["n_ia"]).pvalue > 1e-3


def _content(warehouse, table, condition="true"):
    rows = warehouse.read(table).where(condition).select(F.to_json(F.struct(*table.names)).alias("row")).collect()
    return hashlib.sha256("\n".join(sorted(row["row"] for row in rows)).encode()).hexdigest()
