"""Stars of a made-up night, odd ones among quiet ones: each is found by its own test, with its rate of false alarms and what explains it first."""

import argparse
import datetime as dt
import shutil

import numpy as np
import pytest
from deeprubin_spark.jobs import search_technosignatures
from pyspark.sql import functions as F

from deeprubin_spark import settings as settings_module
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import ConfigError
from deeprubin_spark.kernels.measurements import DETECTION, LIMIT, MODEL_RECORD
from deeprubin_spark.kernels.separations import half_angle_squared_sine
from deeprubin_spark.kernels.seti_ellipsoid import crossings
from deeprubin_spark.kernels.sky import healpix
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import FEATURES, LIGHTCURVE_SEGMENTS, SCORES, TECHNOSIGNATURE_CANDIDATES
from deeprubin_spark.schemas.features import FEATURE_SET
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.searches import catalogues, star_catalogue, technosignatures
from deeprubin_spark.tables import Warehouse
from tests.conftest import settings_at
from tests.contract_rows import frame_of, record_of, row_of

NIGHT = dt.date(2018, 11, 29)  # MJD 58451
N_NIGHTS = 40
N_QUIET = 150
REFERENCE = 1e5  # [nJy] of every star
ODD = ("dipper", "binary", "switched", "gone", "crossed")


def _nights(generator):
    """MJDs of N_NIGHTS nights up to the last, g and r on each: (N_NIGHTS, 2)."""
    days = np.sort(generator.choice(np.arange(58_051, 58_451), N_NIGHTS - 1, replace=False))
    return np.append(days, 58_451.0)[:, None] + [0.2, 0.22]


def _crossing():
    """Position of the first bundled host and when SN 1987A's ellipsoid crosses it [d]."""
    host, event = catalogues.table("planet_hosts.csv").iloc[0], catalogues.table("events.csv").iloc[0]
    h = half_angle_squared_sine(host["ra"], host["dec"], event["ra"], event["dec"])
    found = crossings(host["distance_pc"], 0.01 * host["distance_pc"], event["distance_pc"], event["distance_err_pc"], h)
    return (float(host["ra"]), float(host["dec"])), float(event["mjd"] + found.delay)


def _fluxes(name, generator):
    """Difference fluxes [nJy] of a star's nights, (N_NIGHTS, 2)."""
    flux = generator.normal(0.0, 100.0, (N_NIGHTS, 2))
    if name in ("dipper", "bogus", "galaxy"):
        depth = np.array([1_000.0, 2_200.0, 4_000.0, 3_100.0, 1_700.0, 800.0])
        flux[20:26] -= depth[:, None] * [1.0, 0.71]  # as dust takes it
    elif name in ("switched", "binary"):
        flux += 2_000.0 * generator.integers(0, 2, (N_NIGHTS, 1))
    elif name == "gone":
        flux[30:] -= 0.97 * REFERENCE
    elif name == "crossed":
        flux[17] += 1_500.0
    return flux


def _star(name, number):
    """Rows of `features` and of `lightcurve_segments`."""
    generator = np.random.default_rng(number)
    (ra, dec), mjd, flux = (10.0 + 0.1 * number, 60.0), _nights(generator), _fluxes(name, generator)
    if name == "crossed":
        (ra, dec), crossing = _crossing()
        mjd += crossing + 0.3 - mjd[17, 0]
    points = [
        (mjd[i, k], np.nan, np.nan, 500.0, BAND_NAMES.index("gr"[k]), LIMIT)
        if name == "dipper" and not 20 <= i < 26  # seen in its dip alone
        else (mjd[i, k], flux[i, k], 100.0, np.nan, BAND_NAMES.index("gr"[k]), DETECTION)
        for i in range(N_NIGHTS)
        for k in range(2)
    ]
    points.insert(0, (mjd[0, 0] - 1.0, np.nan, np.nan, 500.0, 1, LIMIT))
    key = {"survey": "ztf", "object_id": name, "night": NIGHT, "ra": ra, "dec": dec}
    score = 0.1 if name == "galaxy" else 0.99
    period = {"period": 1.5, "period_log10_fap": -30.0} if name == "binary" else {"period": 2.5, "period_log10_fap": -1.0}
    alerts = {
        "rb_max": 0.1 if name == "bogus" else 0.9,
        "star_score": score,
        "star_distance": 0.2,
        "reference_g": REFERENCE,
        "reference_r": REFERENCE,
    }
    known = {"feature_set": FEATURE_SET, "status": "ok", "n_detections": 2 * N_NIGHTS, "points": np.array(points, MODEL_RECORD).tobytes()}
    models = {"delta_bic_constant": 40.0, "delta_bic_dip": 7.5} if name == "dipper" else {}
    place = {"healpix": _pixel(ra, dec), "points": [record_of(POINT, kind="detection")]}
    return row_of(FEATURES, **key, **known, **alerts, **period, **models), row_of(LIGHTCURVE_SEGMENTS, **key, **place)


def _pixel(ra, dec):
    return int(healpix(np.array([ra]), np.array([dec]))[0])


@pytest.fixture(scope="module")
def filled(spark, empty_warehouse, tmp_path_factory):
    place = tmp_path_factory.mktemp("technosignatures")
    shutil.copytree(empty_warehouse, place / "warehouse")
    warehouse = Warehouse(spark, settings_at(place).warehouse)
    names = [*ODD, "bogus", "galaxy", *(f"quiet{i}" for i in range(N_QUIET))]
    rows = [_star(name, number) for number, name in enumerate(names)]
    scored = {"survey": "ztf", "night": NIGHT, "status": "scored", "class": "EB", "p_class": 0.9}
    scores = [
        row_of(SCORES, **scored | {"object_id": "switched", "model_version": "m1"}),
        row_of(SCORES, **scored | {"object_id": "switched", "model_version": "m2", "class": "SNIa"}),
        row_of(SCORES, **scored | {"object_id": "dipper", "model_version": "m2", "p_class": 0.3}),
    ]
    for table, made in ((FEATURES, [r[0] for r in rows]), (LIGHTCURVE_SEGMENTS, [r[1] for r in rows]), (SCORES, scores)):
        warehouse.replace_slice(table, frame_of(spark, table, made), "run", nights=None)
    counts = _searched(warehouse)
    assert counts["objects"] == len(names) and counts["stars"] == len(names) - 2  # neither a galaxy nor bogus
    return warehouse


def _searched(warehouse, stars=""):
    """The job's ledger."""
    made = Run("search_technosignatures", "ztf", (NIGHT,), settings_module.load(environ={}), warehouse.session, warehouse)
    search_technosignatures.run(made, argparse.Namespace(dry_run=False, stars=stars))
    return made.counts


def _rows(warehouse):
    return {row["object_id"]: row for row in warehouse.read(TECHNOSIGNATURE_CANDIDATES).collect()}


def test_each_odd_star_is_found_by_its_test(filled):
    rows = _rows(filled)
    assert {name: rows[name]["best_test"] for name in ODD} == {
        "dipper": "dip",
        "binary": "levels",
        "switched": "levels",
        "gone": "vanish",
        "crossed": "ellipsoid",
    }
    assert "galaxy" not in rows and sum(name.startswith("quiet") for name in rows) <= 0.05 * N_QUIET
    dipper = rows["dipper"]
    assert dipper["dip_nights"] == 6 and dipper["dip_fraction"] == pytest.approx(0.04, abs=0.005) and dipper["p_dip"] == dipper["p_best"]
    assert (dipper["s_phys"], dipper["best_model"]) == (7.5, "dip") and rows["switched"]["best_model"] is None
    assert rows["switched"]["n_levels"] == 2
    assert rows["gone"]["is_gone"] and rows["gone"]["gone_nights"] == 10 and rows["gone"]["p_best"] is None
    crossed, host = rows["crossed"], catalogues.table("planet_hosts.csv").iloc[0]
    assert (crossed["star"], crossed["ellipsoid_event"], crossed["distance_pc"]) == (host["star"], "SN 1987A", host["distance_pc"])
    assert crossed["event_mjd"] - crossed["ellipsoid_mjd"] == pytest.approx(0.3, abs=0.03) and crossed["star_separation"] < 0.01


def test_a_star_that_the_night_explains_or_its_alerts_refuse_is_no_candidate(filled):
    rows = _rows(filled)
    status = {name: (rows[name]["status"], rows[name]["reason"]) for name in (*ODD, "bogus")}
    assert status == {
        "dipper": ("candidate", None),
        "binary": ("set_aside", "period"),
        "switched": ("candidate", None),  # the newest model does not say EB
        "gone": ("candidate", None),
        "crossed": ("candidate", None),
        "bogus": ("gated", "bogus"),
    }
    assert rows["binary"]["natural_explanation"].startswith("a period of 1.50000 d: an eclipsing binary")
    assert rows["dipper"]["natural_explanation"].startswith("not excluded: dust") and "infrared" in rows["dipper"]["would_refute"]
    assert rows["switched"]["class"] == "SNIa" and rows["dipper"]["period"] is None and rows["gone"]["class"] is None


def test_false_alarms_are_counted_on_stars_with_nights_exchanged(filled):
    rows = _rows(filled)
    n_stars = len(ODD) + N_QUIET  # neither gated ones nor galaxies
    assert {row["n_stars"] for row in rows.values()} == {n_stars}
    assert rows["bogus"]["false_alarms_per_10k_stars"] is None
    least = 1e4 / (n_stars + 1)
    assert rows["dipper"]["false_alarms_per_10k_stars"] == pytest.approx(least)
    assert rows["gone"]["false_alarms_per_10k_stars"] == pytest.approx(2 * least)  # exchange leaves it gone: it counts itself
    for name in ("binary", "switched"):  # so do levels: the gone star's count too
        tested = [row for row in rows.values() if row["reason"] != "bogus" and row["p_levels"] is not None]
        as_low = [row for row in tested if row["p_levels"] <= rows[name]["p_levels"]]
        assert rows[name]["false_alarms_per_10k_stars"] == pytest.approx((1 + len(as_low)) * least)
    ranked = sorted((row for row in rows.values() if row["rank"]), key=lambda row: row["rank"])
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    rates = [row["false_alarms_per_10k_stars"] for row in ranked]
    assert rates == sorted(rates) and ranked[0]["object_id"] == "dipper"


def test_a_gaia_extract_gives_distances_and_a_second_run_changes_nothing_else(filled, tmp_path):
    before = _content(filled)
    _searched(filled)
    assert _content(filled) == before
    ra, dec = 10.0 + 0.1 * ODD.index("dipper"), 60.0
    years = (NIGHT - dt.date(2000, 1, 1)).days / 365.25 - 16.0
    extract = tmp_path / "nearby.csv"
    # Columns in another order, one more, a star that moved there since 2016, one with a poor parallax nearer by, one without any.
    extract.write_text(
        "ra,dec,source_id,phot_g_mean_mag,parallax,parallax_error,pmra,pmdec\n"
        f"{ra - 2.0 * years / 3600.0},{dec + 1.0 * years / 3600.0},4711,15.2,20.0,0.1,1000.0,-1000.0\n"
        f"{ra},{dec},1,19.0,0.4,0.1,null,null\n"
        f"{ra},{dec},2,19.0,null,null,0.0,0.0\n"
    )
    _searched(filled, str(extract))
    found = _rows(filled)["dipper"]
    assert (found["star"], found["distance_pc"], found["distance_err_pc"]) == ("Gaia 4711", 50.0, 0.25)
    assert found["star_separation"] < 0.1 and found["p_ellipsoid"] is not None
    _searched(filled)
    assert _content(filled) == before


def test_a_catalogue_without_parallaxes_is_refused_with_the_columns_it_lacks(spark, tmp_path):
    poor = tmp_path / "poor.csv"
    poor.write_text("source_id,ra,dec,pmra\n1,2.0,3.0,0.0\n")
    with pytest.raises(ConfigError, match="3 of the columns .* are missing: parallax, parallax_error, pmdec"):
        star_catalogue.gaia_extract(spark, str(poor))
    with pytest.raises(ConfigError, match="cannot be read"):
        star_catalogue.gaia_extract(spark, str(tmp_path / "nothing.parquet"))


def test_the_rate_grows_with_the_chance_and_is_never_zero(spark):
    columns = "kind string, n long, gates string, survey string, night date, object_id string, best_test string, p_best double"
    rows = [("count", 60, None, "ztf", NIGHT, None, None, None), ("count", 39, None, "ztf", NIGHT, None, None, None)]
    rows += [("exchanged", None, None, "ztf", NIGHT, None, "dip", p) for p in (1e-4, 2e-3, 2e-3, 9e-3)]
    rows += [("exchanged", None, None, "ztf", NIGHT, None, "levels", 1e-9)]
    rows += [("star", None, "", "ztf", NIGHT, f"s{i}", "dip", p) for i, p in enumerate((1e-5, 1e-4, 2e-3, 5e-3))]
    found = technosignatures.with_false_alarms(spark.createDataFrame(rows, columns)).orderBy("p_best").collect()
    assert [row["false_alarms_per_10k_stars"] for row in found] == pytest.approx([100.0, 200.0, 400.0, 400.0])


def _content(warehouse):
    rows = warehouse.read(TECHNOSIGNATURE_CANDIDATES).select(F.to_json(F.struct(*TECHNOSIGNATURE_CANDIDATES.names)).alias("row")).collect()
    return sorted(row["row"] for row in rows)
