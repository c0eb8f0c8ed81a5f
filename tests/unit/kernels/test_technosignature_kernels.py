"""Tests of single stars' light curves: each null gives as many false alarms as it says, and each shape that is put in is found."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from deeprubin_spark.kernels import achromatic, dips, event_intervals, quantised_levels, vanishing
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.nightly_levels import nights_of

G, R = 1, 2


def noise(n_objects: int, n_nights: int, seed: int, scatter: float = 100.0) -> LightCurves:
    """Stars that only scatter, g and r half an hour apart on each of some nights."""
    generator = np.random.default_rng(seed)
    nights = np.sort(np.stack([generator.choice(400, n_nights, replace=False) for _ in range(n_objects)]), axis=1) + 58_000.3
    mjd = np.stack([nights, nights + 0.02], axis=2).ravel()
    flux = generator.normal(0.0, scatter, len(mjd))
    band = np.tile([G, R], n_objects * n_nights)
    return light_curves(np.arange(n_objects + 1) * 2 * n_nights, mjd, band, flux, np.full(len(mjd), 100.0))


def with_flux(curves: LightCurves, flux: np.ndarray) -> LightCurves:
    return LightCurves(curves.offsets, curves.mjd, curves.band, flux, curves.flux_err)


def test_nights_hold_the_points_of_a_day_and_their_deviations_are_from_the_bands_median() -> None:
    curves = light_curves([0, 5, 5, 6], [0.1, 0.2, 1.1, 1.3, 2.2, 9.0], [G, R, G, R, G, R], [10.0, 7, 20, 7, 30, 5], np.full(6, 2.0))
    nights = nights_of(curves)
    assert nights.offsets.tolist() == [0, 3, 3, 4]
    assert nights.mjd == pytest.approx([0.15, 1.2, 2.2, 9.0])
    assert nights.night_of.tolist() == [0, 0, 1, 1, 2, 3]
    scatter = 14.826  # of g: 1.4826 times the median of 10, 0 and 10; in r the error, 2
    assert nights.deviation == pytest.approx([-10 / scatter, 0, 0, 0, 10 / scatter, 0])
    assert nights.lowest == pytest.approx([-10 / scatter, 0, 10 / scatter, 0])


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_the_chance_of_few_stretches_is_that_of_all_orders(n_and_k: tuple[int, int]) -> None:
    n, k = n_and_k
    counts = []
    for low in itertools.combinations(range(n), k):
        flags = np.isin(np.arange(n), low)
        counts.append(int(flags[0]) + int((flags[1:] & ~flags[:-1]).sum()))
    for r in range(1, max(counts) + 1):
        expected = np.mean(np.array(counts) <= r)
        assert dips.chance_of_stretches(np.array([n]), np.array([k]), np.array([r])) == pytest.approx(expected, rel=1e-9)


def test_a_dip_is_found_with_its_depth_fraction_and_side() -> None:
    curves = noise(2, 60, seed=1)
    flux = curves.flux.copy()
    flux[40:52] -= np.repeat([500.0, 800.0, 1200.0, 1600.0, 2000.0, 2400.0], 2)  # of object 0: falls for six nights, then is back
    found = dips.dips(with_flux(curves, flux), nights_of(with_flux(curves, flux)), np.full(len(flux), 10_000.0))
    assert found.n_low[0] == 6 and found.p[0] < 2e-6
    assert found.depth[0] > 15.0 and found.fraction[0] == pytest.approx(0.24, abs=0.04)
    assert found.asymmetry[0] > 0.3 and found.duty[0] == pytest.approx(0.1)
    assert np.isnan(found.p[1])


def test_an_eclipsing_binary_is_low_everywhere_and_no_dip() -> None:
    curves = noise(300, 80, seed=2)
    period = np.repeat(np.random.default_rng(3).uniform(0.4, 3.0, 300), 160)
    flux = curves.flux - 2_000.0 * (((curves.mjd / period) % 1.0) < 0.12)
    found = dips.dips(with_flux(curves, flux), nights_of(with_flux(curves, flux)), np.full(len(flux), np.nan))
    tried = np.isfinite(found.p)
    assert tried.sum() > 200 and (found.p[tried] <= 0.01).mean() < 0.06  # periods near a day come back at the same phase for weeks
    assert np.isnan(found.fraction[tried]).all()


def test_dips_scrambled_in_time_are_found_as_often_as_their_chance_says() -> None:
    """Deep dips together in time; then their nights exchanged."""
    generator, curves = np.random.default_rng(4), noise(2_000, 40, seed=5)
    flux = curves.flux.reshape(2_000, 40, 2).copy()
    flux[:, 10:15] -= 3_000.0
    scrambled = np.stack([one[generator.permutation(40)] for one in flux])
    together, apart = (
        dips.dips(c, nights_of(c), np.full(len(c.mjd), np.nan)).p
        for c in (with_flux(curves, flux.ravel()), with_flux(curves, scrambled.ravel()))
    )
    assert (together < 1e-3).mean() > 0.95
    for level in (0.001, 0.01, 0.1):
        assert (apart <= level).mean() <= level + 4.0 * np.sqrt(level / 2_000)


@pytest.mark.parametrize("name", event_intervals.SERIES_NAMES)
def test_events_in_a_series_are_told_from_events_at_random(name: str) -> None:
    gaps = event_intervals.SERIES[event_intervals.SERIES_NAMES.index(name)][:8]
    at = np.round(10 + np.cumsum(np.append(0.0, gaps)) * 300.0 / gaps.sum())
    times = np.arange(400.0)
    p, which = event_intervals.chances(
        np.tile(times, 2), np.array([0, 400, 800]), np.concatenate([np.isin(times, at), np.isin(times, (at[::-1] * -1 + 400))])
    )
    assert (p <= 0.002).all()
    assert [event_intervals.SERIES_NAMES[i] for i in which] == [name, name]


def test_events_drawn_from_the_nights_of_a_season_give_no_series_more_often_than_they_should() -> None:
    generator = np.random.default_rng(6)
    nights = np.concatenate([np.arange(0.0, 150.0, 3.0), np.arange(365.0, 515.0, 3.0)])  # two seasons, every third night
    is_event = np.zeros((1_500, len(nights)), bool)
    for row in is_event:
        row[generator.choice(len(nights), generator.integers(5, 12), replace=False)] = True
    p, _ = event_intervals.chances(np.tile(nights, 1_500), np.arange(1_501) * len(nights), is_event.ravel())
    for level in (0.01, 0.1, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=4.0 * np.sqrt(level / 1_500))


def test_an_object_has_the_same_chance_whoever_stands_before_it() -> None:
    generator = np.random.default_rng(7)
    nights = np.tile(np.arange(60.0), 3)
    is_event = generator.random(180) < 0.12
    together, _ = event_intervals.chances(nights, np.array([0, 60, 120, 180]), is_event)
    alone, _ = event_intervals.chances(nights[120:], np.array([0, 60]), is_event[120:])
    assert together[2] == alone[0] or np.isnan([together[2], alone[0]]).all()


def test_switched_levels_are_found_and_counted() -> None:
    generator = np.random.default_rng(8)
    for n_levels in (2, 3, 4):
        flux = generator.integers(0, n_levels, 60) * 1_500.0 + generator.normal(0.0, 100.0, 60)
        p, levels = quantised_levels.chances(flux, np.full(60, 100.0), np.array([0, 60]))
        assert p[0] < 1e-6 and levels[0] == n_levels


def shapes(generator: np.random.Generator) -> dict[str, np.ndarray]:
    """What passes through all brightnesses between: 1,000 stars of 50 points each, in errors."""
    phase = generator.uniform(0.0, 1.0, (1_000, 50))
    size = generator.uniform(1.0, 20.0, (1_000, 1))
    return {
        "nothing": np.zeros((1_000, 50)),
        "a gaussian": size * generator.normal(0.0, 1.0, (1_000, 50)),
        "a box": size * generator.uniform(-1.0, 1.0, (1_000, 50)),
        "a sawtooth, as of an RR Lyrae star": size * np.where(phase < 0.2, phase / 0.2, (1.0 - phase) / 0.8),
    }


@pytest.mark.parametrize("name", ["nothing", "a gaussian", "a box", "a sawtooth, as of an RR Lyrae star"])
def test_brightness_that_passes_through_all_between_is_not_quantised_more_often_than_it_should(name: str) -> None:
    generator = np.random.default_rng(9)
    flux = shapes(generator)[name] + generator.normal(0.0, 1.0, (1_000, 50))
    p, _ = quantised_levels.chances(flux.ravel(), np.ones(50_000), np.arange(1_001) * 50)
    for level in (0.001, 0.01, 0.1):
        assert (p <= level).mean() <= level + 4.0 * np.sqrt(level / 1_000)


def test_a_few_faint_nights_are_no_level() -> None:
    generator = np.random.default_rng(14)
    flux = generator.normal(0.0, 1.0, (500, 40))
    flux[:, :4] -= 30.0
    p, _ = quantised_levels.chances(flux.ravel(), np.ones(20_000), np.arange(501) * 40)
    assert (p <= 0.01).mean() <= 0.01 + 4.0 * np.sqrt(0.01 / 500)


def test_the_levels_are_the_best_that_can_be_made() -> None:
    """Against all ways to cut eight sorted points in two or three."""
    generator = np.random.default_rng(10)
    x, variance = np.sort(generator.normal(0.0, 3.0, 8)), generator.uniform(0.5, 2.0, 8)

    def bic_of(cuts: tuple[int, ...]) -> float:
        groups = np.split(np.arange(8), cuts)
        chi2 = sum((((x[g] - np.average(x[g], weights=1 / variance[g])) ** 2) / variance[g]).sum() for g in groups)
        return chi2 + np.log(variance).sum() - 2.0 * sum(len(g) * np.log(len(g) / 8) for g in groups) + (2 * len(groups) - 1) * np.log(8)

    def least_chi2(k: int) -> float:
        def chi2_of(cuts: tuple[int, ...]) -> float:
            groups = np.split(np.arange(8), cuts)
            return sum((((x[g] - np.average(x[g], weights=1 / variance[g])) ** 2) / variance[g]).sum() for g in groups)

        return bic_of(min(itertools.combinations(range(1, 8), k - 1), key=chi2_of))

    bic, _ = quantised_levels._levels_bic(x, variance, 1)
    assert bic == pytest.approx(min(least_chi2(k) for k in (2, 3, 4)))


def test_the_dust_that_fits_best_is_the_one_an_optimiser_finds() -> None:
    generator = np.random.default_rng(11)
    missing = generator.uniform(-0.1, 0.95, (40, 2))
    found = achromatic.dust_chi2(missing[:, 0], np.full(40, 0.02), missing[:, 1], np.full(40, 0.03))
    for (in_g, in_r), chi2 in zip(missing, found, strict=True):
        grid = np.geomspace(1e-6, 1.0, 20_000)
        on_grid = ((1 - grid**achromatic.DUST_RATIO - in_g) / 0.02) ** 2 + ((1 - grid - in_r) / 0.03) ** 2
        at = grid[on_grid.argmin()]
        near = optimize.minimize_scalar(
            lambda u, g=in_g, r=in_r: ((1 - u**achromatic.DUST_RATIO - g) / 0.02) ** 2 + ((1 - u - r) / 0.03) ** 2,
            bounds=(0.99 * at, min(1.01 * at, 1.0)),
            method="bounded",
        )
        assert chi2 == pytest.approx(min(near.fun, on_grid.min()), rel=1e-3, abs=1e-6)


def test_dust_and_something_opaque_are_told_apart_and_dust_is_called_opaque_no_more_often_than_chance_says() -> None:
    generator, n = np.random.default_rng(12), 4_000
    in_r = generator.uniform(0.1, 0.6, (n, 3))
    err = 0.02
    dusty = 1.0 - (1.0 - in_r) ** achromatic.DUST_RATIO
    owner = np.repeat(np.arange(n), 3)
    found = {}
    for name, in_g in (("opaque", in_r), ("dust", dusty)):
        g, r = ((values + generator.normal(0.0, err, (n, 3))).ravel() for values in (in_g, in_r))
        errors = np.full(3 * n, err)
        found[name] = achromatic.screens(achromatic.opaque_chi2(g, errors, r, errors), achromatic.dust_chi2(g, errors, r, errors), owner, n)
    assert np.median(found["opaque"].log_likelihood_ratio) > 5.0 > 0.0 > np.median(found["dust"].log_likelihood_ratio)
    assert (found["opaque"].p < 0.01).mean() > 0.75
    for level in (0.01, 0.1):
        assert (found["dust"].p <= level).mean() <= level + 4.0 * np.sqrt(level / n)


def test_a_star_that_is_gone_in_two_bands_on_three_nights_has_vanished() -> None:
    reference = 10.0 ** (0.4 * (31.4 - 18.0))
    curves = noise(5, 4, seed=13)
    flux = curves.flux.reshape(5, 4, 2).copy()
    flux[0, 1:] = -0.97 * reference
    flux[1, 1:, 0] = -0.97 * reference  # in one band only
    flux[2, :3] = -0.97 * reference  # back on the last night
    flux[3, 1:] = -0.97 * reference  # no star
    flux[4, 1:] = -0.5 * reference  # half of it
    whole = with_flux(curves, flux.ravel())
    found = vanishing.vanished(whole, nights_of(whole).night_of, np.full(40, reference), np.array([0.99, 0.99, 0.99, 0.1, 0.99]))
    assert found.is_gone.tolist() == [True, False, False, False, False]
    assert found.nights.tolist() == [3, 3, 3, 0, 0] and found.fraction[0] == pytest.approx(0.97)
    faint = vanishing.vanished(whole, nights_of(whole).night_of, np.full(40, 10.0**4.2), np.full(5, 0.99))
    assert not faint.is_gone.any()


def test_no_light_curves_are_no_candidates() -> None:
    nobody = light_curves([0, 0], [], [], [], [])
    nights, nothing = nights_of(nobody), np.empty(0)
    assert np.isnan(dips.dips(nobody, nights, nothing).p).all()
    assert not vanishing.vanished(nobody, nights.night_of, nothing, np.array([0.9])).is_gone.any()
    assert np.isnan(event_intervals.chances(nights.mjd, nights.offsets, nights.lowest < 0)[0]).all()
    assert np.isnan(quantised_levels.chances(nothing, nothing, np.array([0, 0]))[0]).all()
