"""Periods of simulated and real stars, from points to columns."""

from __future__ import annotations

import csv
import io
import tarfile

import fastavro
import numpy as np
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.period_search import PERIOD_FEATURE_NAMES, PERIOD_FEATURES, find_periods
from tests.unit.kernels.conftest import DATA

FULL_GRID = 10**7


def column(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, PERIOD_FEATURE_NAMES.index(name)]


def all_of(curves: LightCurves, **limits: float) -> np.ndarray:
    return find_periods(curves, np.ones(curves.n_objects, bool), **limits)


def cadence(rng: np.random.Generator, n_points: int, span: int) -> np.ndarray:
    """ZTF-like times: within hours of one hour of the night, seven months of the year."""
    nights = np.arange(span)
    return 58000.0 + np.sort(rng.choice(nights[nights % 365 < 215], n_points) + rng.normal(0.3, 0.09, n_points))


def stars(kind: str, n_objects: int, n_points: int, span: int, snr: float, seed: int) -> tuple[LightCurves, np.ndarray]:
    """Stars of one kind in g and r, and their periods."""
    rng = np.random.default_rng(seed)
    low, high = {"sinusoid": (0.06, 30.0), "rrab": (0.4, 0.8), "binary": (0.5, 5.0)}[kind]
    period = np.exp(rng.uniform(np.log(low), np.log(high), n_objects))
    mjd = np.concatenate([cadence(rng, n_points, span) for _ in range(n_objects)])
    band, start = rng.integers(1, 3, len(mjd)), np.repeat(rng.random(n_objects), n_points)
    phase = (mjd / np.repeat(period, n_points) + start) % 1.0
    away = np.minimum(phase, 1.0 - phase)
    shape = {
        "sinusoid": np.sin(2.0 * np.pi * phase),
        "rrab": 2.0 * np.where(phase < 0.15, phase / 0.15, (1.0 - phase) / 0.85) - 1.0,
        "binary": -2.0 * np.exp(-0.5 * (away / 0.06) ** 2) - np.exp(-0.5 * ((phase - 0.5) / 0.06) ** 2),
    }[kind]
    flux_err = 1000.0 / snr * rng.uniform(0.7, 1.4, len(mjd))
    flux = np.where(band == 1, 1000.0, 700.0) * shape + flux_err * rng.normal(size=len(mjd))
    return light_curves(np.arange(n_objects + 1) * n_points, mjd, band, flux, flux_err), period


@pytest.fixture(scope="module")
def pulsators() -> tuple[LightCurves, np.ndarray, np.ndarray]:
    curves, period = stars("rrab", 30, 100, 1200, 20.0, 1)
    return curves, period, all_of(curves)


def test_every_column_has_a_name_of_its_own_a_unit_a_sentence_a_formula_and_a_source():
    assert len(set(PERIOD_FEATURE_NAMES)) == len(PERIOD_FEATURES) >= 20
    assert all(f.name.startswith("period") and f.unit and f.doc and f.formula and f.source for f in PERIOD_FEATURES)
    assert {f.name for f in PERIOD_FEATURES if not f.scale_free} == {f.name for f in PERIOD_FEATURES if "nJy" in f.unit}


@pytest.mark.parametrize("max_frequencies", [10_000, FULL_GRID])
@pytest.mark.parametrize(
    ("kind", "n_points", "span", "least"), [("sinusoid", 60, 400, 0.9), ("rrab", 80, 1200, 0.95), ("binary", 120, 1200, 0.9)]
)
def test_periods_of_stars_on_a_ground_based_cadence_are_exact(kind, n_points, span, least, max_frequencies):
    curves, period = stars(kind, 25, n_points, span, 10.0, 2)
    found = column(all_of(curves, max_frequencies=max_frequencies), "period")
    assert np.mean(np.abs(found / period - 1.0) < 2e-3) >= least


def test_an_rr_lyrae_is_described_as_it_is(pulsators):
    curves, period, found = pulsators
    assert np.mean(np.abs(column(found, "period") / period - 1.0) < 1e-3) >= 0.95
    # a rise of 0.15 and a fall of 0.85 of the period: A_h ~ sin(0.15 pi h) / h^2 falls from the first harmonic on
    ratio = [np.sin(0.15 * np.pi * h) / h**2 / np.sin(0.15 * np.pi) for h in (2, 3)]
    for name, expected in zip(("period_r21", "period_r31"), ratio, strict=True):
        np.testing.assert_allclose(np.median(column(found, name)), expected, rtol=0.1)
    assert np.all(column(found, "period_amplitude_ratio_gr") > 0.5) and np.median(column(found, "period_folded_eta")) < 0.3
    np.testing.assert_allclose(np.median(column(found, "period_amplitude_g")), 950.0, rtol=0.1)
    assert np.all(column(found, "period_log10_fap") < -10.0) and np.all(column(found, "period_n_harmonics") >= 2.0)
    assert np.all(column(found, "period_gain") > column(found, "period_power"))
    assert np.all(column(found, "period_n_points") == 100.0) and np.all(column(found, "period_n_bands") == 2.0)


def test_phases_of_harmonics_are_those_of_cosines():
    rng = np.random.default_rng(3)
    mjd = cadence(rng, 150, 600)
    phase = 2.0 * np.pi * mjd / 0.573
    flux = 100.0 * np.cos(phase + 0.4) + 50.0 * np.cos(2.0 * phase + 2.3) + 20.0 * np.cos(3.0 * phase + 0.2) + rng.normal(0.0, 1.0, 150)
    found = all_of(light_curves(np.array([0, 150]), mjd, np.full(150, 3), flux, np.ones(150)))
    assert column(found, "period")[0] == pytest.approx(0.573, rel=1e-4)
    assert column(found, "period_r21")[0] == pytest.approx(0.5, abs=0.02) and column(found, "period_r31")[0] == pytest.approx(0.2, abs=0.02)
    assert column(found, "period_phi21")[0] == pytest.approx(2.3 - 0.8, abs=0.1)
    assert column(found, "period_phi31")[0] == pytest.approx((0.2 - 1.2) % (2.0 * np.pi), abs=0.2)
    assert np.isnan(column(found, "period_amplitude_g")[0]) and column(found, "period_n_bands")[0] == 1.0


def test_noise_has_no_significant_period():
    curves, _ = stars("sinusoid", 60, 60, 1200, 1e-3, 4)
    chance = column(all_of(curves), "period_log10_fap")
    assert np.mean(chance < -1.0) <= 0.1 and np.all(chance > -3.5)


def test_an_object_gives_the_same_numbers_alone_and_in_a_batch(pulsators):
    curves, _, found = pulsators
    for k in (0, 7, 29):
        rows = slice(curves.offsets[k], curves.offsets[k + 1])
        alone = all_of(light_curves(np.array([0, 100]), curves.mjd[rows], curves.band[rows], curves.flux[rows], curves.flux_err[rows]))
        np.testing.assert_array_equal(alone[0], found[k])


def test_a_factor_on_flux_changes_only_the_columns_that_say_so(pulsators):
    curves, _, found = pulsators
    for factor in (2.0**-90, 2.0**90):  # exact in binary, 1e-27 and 1e27
        scaled = light_curves(curves.offsets, curves.mjd, curves.band, factor * curves.flux, factor * curves.flux_err)
        expected = found * np.array([1.0 if f.scale_free else factor for f in PERIOD_FEATURES])
        np.testing.assert_allclose(all_of(scaled), expected, rtol=1e-9)


def test_a_shift_of_time_changes_nothing(pulsators):
    curves, _, found = pulsators
    later = all_of(light_curves(curves.offsets, curves.mjd + 1000.25, curves.band, curves.flux, curves.flux_err))
    np.testing.assert_allclose(later, found, rtol=1e-4, atol=1e-4)


def test_only_what_is_asked_for_is_searched_and_a_bad_object_does_not_touch_its_neighbours(pulsators):
    curves, _, found = pulsators
    flux = curves.flux.copy()
    flux[150] = np.nan
    search = np.ones(30, bool)
    search[3] = False
    other = find_periods(light_curves(curves.offsets, curves.mjd, curves.band, flux, curves.flux_err), search)
    assert np.isnan(other[1]).all() and np.isnan(other[3]).all()
    rest = np.setdiff1d(np.arange(30), [1, 3])
    np.testing.assert_array_equal(other[rest], found[rest])


def test_the_period_lies_within_the_limits(pulsators):
    curves, _, _ = pulsators
    found = all_of(curves, min_period=1.0, max_period=20.0)
    assert np.nanmin(column(found, "period")) > 0.999 and np.nanmax(column(found, "period")) < 20.1


def points(mjd, band, flux, flux_err) -> np.ndarray:
    n = len(mjd)
    return all_of(light_curves(np.array([0, n]), mjd, np.broadcast_to(band, n), np.broadcast_to(flux, n), np.broadcast_to(flux_err, n)))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_few_points_have_no_period(n):
    found = points(58000.0 + np.arange(n), 1, np.arange(n), 1.0)
    assert found.shape == (1, len(PERIOD_FEATURES)) and np.isnan(column(found, "period")[0])


def test_points_of_one_instant_a_constant_and_zero_flux_have_no_period():
    for mjd, flux in ((np.full(30, 58000.0), np.arange(30.0)), (np.arange(30.0), np.full(30, 7.0)), (np.arange(30.0), np.zeros(30))):
        assert np.isnan(column(points(mjd, np.resize([1, 2], 30), flux, 1.0), "period")[0])


@pytest.mark.parametrize("flux_err", [1e-12, 1e12])
def test_errors_of_any_size_leave_numbers(flux_err):
    mjd = cadence(np.random.default_rng(5), 60, 300)
    found = points(mjd, np.resize([1, 2], 60), 100.0 * np.sin(2.0 * np.pi * mjd / 0.7), flux_err)
    assert column(found, "period")[0] == pytest.approx(0.7, rel=1e-3)
    assert np.isfinite(found[0]).all()


def test_five_points_and_pairs_of_equal_times_leave_no_infinity():
    mjd = np.repeat(58000.0 + np.array([0.0, 1.3, 2.9, 10.1, 30.7]), 2)
    found = points(mjd, np.resize([1, 2], 10), np.arange(10.0) ** 2, 1.0)
    assert not np.isinf(found).any() and column(found, "period_n_points")[0] == 10.0
    alone = points(mjd[::2], 1, np.arange(5.0) ** 2, 1.0)
    assert not np.isinf(alone).any() and column(alone, "period_n_points")[0] == 5.0


@pytest.fixture(scope="module")
def ztf() -> dict[str, np.ndarray]:
    """Columns of the objects of at least 16 detections in the carried ZTF packets, by name."""
    measured: dict[str, dict[tuple[float, int], tuple[float, float]]] = {}
    for archive in sorted((DATA / "ztf" / "archive").glob("*.tar.gz")):
        with tarfile.open(archive) as packets:
            for member in packets:
                for alert in fastavro.reader(io.BytesIO(packets.extractfile(member).read())):
                    for row in (alert["candidate"], *(alert["prv_candidates"] or ())):
                        if row.get("magpsf") is not None:
                            flux = 10.0 ** ((31.4 - row["magpsf"]) / 2.5) * (1.0 if row["isdiffpos"] in ("t", "1") else -1.0)
                            own = measured.setdefault(alert["objectId"], {})
                            own[row["jd"], row["fid"]] = (flux, 0.921 * abs(flux) * row["sigmapsf"])
    chosen = [name for name, own in measured.items() if len(own) >= 16]
    rows = [(jd - 2400000.5, fid, *measured[name][jd, fid]) for name in chosen for jd, fid in sorted(measured[name])]
    counts = [len(measured[name]) for name in chosen]
    return dict(zip(chosen, all_of(light_curves(np.r_[0, np.cumsum(counts)], *np.array(rows).T)), strict=True))


def labels() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with (DATA / "ztf" / "object_labels.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["objectId"], set()).add(row["label"])
    return found


def test_real_supernovae_and_miras_are_slow_trends_and_real_rr_lyrae_are_not(ztf):
    cycles = PERIOD_FEATURE_NAMES.index("period_n_cycles")
    kinds = {name: labels().get(name, set()) for name in ztf}
    slow = [ztf[name][cycles] for name, kind in kinds.items() if kind & {"SN Ia", "SN IIn", "M"}]
    fast = [ztf[name][cycles] for name, kind in kinds.items() if kind & {"RRAB", "RRC"}]
    assert len(slow) >= 5 and len(fast) >= 3
    assert np.mean(np.array(slow) < 1.6) >= 0.8
    assert np.all(np.array(fast) > 3.0)


def test_simulated_rr_lyrae_of_another_survey_have_periods_of_rr_lyrae():
    objects = pq.read_table(DATA / "plasticc" / "metadata.parquet").to_pandas()
    table = pq.read_table(DATA / "plasticc" / "light_curves.parquet").to_pandas().sort_values(["object_id", "mjd"], kind="stable")
    table = table[table.object_id.isin(objects.object_id[objects.target == 92][:60])]
    names, counts = np.unique(table.object_id, return_counts=True)
    found = all_of(light_curves(np.r_[0, np.cumsum(counts)], table.mjd, table.passband, table.flux, table.flux_err))
    period = column(found, "period")
    assert np.mean((period > 0.2) & (period < 1.0)) >= 0.9
    assert period[list(names).index(615)] == pytest.approx(0.32452, rel=1e-4)  # as found by entrants of the challenge
