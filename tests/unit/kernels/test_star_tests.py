"""All tests together: what stars that only scatter give, alone and after look-elsewhere, and that each star is judged by itself."""

import numpy as np
import pytest
from scipy import stats

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels import achromatic, star_tests
from deeprubin_spark.kernels.light_curves import LightCurves, curves_at, light_curves
from deeprubin_spark.kernels.nightly_levels import nights_of

G, R = BAND_NAMES.index("g"), BAND_NAMES.index("r")
EVENTS = star_tests.Events(
    *np.array([[83.86675, -69.26974, 46849.316, 51400.0, 1200.0], [210.910675, 54.31165, 60082.75, 6.85e6, 1.5e5]]).T
)


def sky_of(n_stars: int, seed: int, n_nights: int = 30) -> tuple[LightCurves, star_tests.Stars]:
    """Stars that scatter as their errors say; half of them have a distance that lets a crossing fall near their light curve."""
    generator = np.random.default_rng(seed)
    nights = np.sort(np.stack([generator.choice(300, n_nights, replace=False) for _ in range(n_stars)]), axis=1) + 58_000.3
    mjd = (nights[:, :, None] + [0.0, 0.02]).ravel()
    offsets = np.arange(n_stars + 1) * 2 * n_nights
    curves = light_curves(
        offsets, mjd, np.tile([G, R], n_stars * n_nights), generator.normal(0.0, 100.0, len(mjd)), np.full(len(mjd), 100.0)
    )
    # Distances such that SN 1987A's ellipsoid crosses at times from before to after the light curve.
    distance = np.where(np.arange(n_stars) % 2 == 0, generator.uniform(3.0, 40.0, n_stars), np.nan)
    reference = np.full((n_stars, len(BAND_NAMES)), np.nan)
    reference[:, [G, R]] = 1e4
    place = generator.uniform(0.0, 360.0, n_stars), np.degrees(np.arcsin(generator.uniform(-1.0, 1.0, n_stars)))
    stars = star_tests.Stars(
        *place, np.full(n_stars, 0.99), distance, 0.01 * distance, reference, np.arange(n_stars, dtype=np.uint64) * 7919, mjd, offsets
    )
    return curves, stars


def rows_of(stars: star_tests.Stars, rows: np.ndarray) -> star_tests.Stars:
    looked = [stars.looked[stars.looked_offsets[b] : stars.looked_offsets[b + 1]] for b in rows]
    offsets = np.concatenate(([0], np.cumsum([len(times) for times in looked]))).astype(np.int64)
    told = (getattr(stars, name)[rows] for name in ("ra", "dec", "star_score", "distance", "distance_err", "reference", "key"))
    return star_tests.Stars(*told, np.concatenate(looked), offsets)


@pytest.fixture(scope="module")
def quiet() -> star_tests.Tested:
    return star_tests.tested(*sky_of(4_000, seed=1), EVENTS)


def at_most(p: np.ndarray, level: float) -> float:
    """Share of the chances that are as low, less four standard deviations of its own chance."""
    tried = p[np.isfinite(p)]
    return float((tried <= level).mean() - 4.0 * np.sqrt(level / max(len(tried), 1)))


@pytest.mark.parametrize(
    "name", [name for name in star_tests.CHANCES if name not in ("dip", "intervals")]
)  # these want low and bright nights
def test_stars_that_only_scatter_are_odd_no_more_often_than_each_chance_says(quiet: star_tests.Tested, name: str) -> None:
    i = star_tests.CHANCES.index(name)
    assert np.isfinite(quiet.p[:, i]).sum() > 10
    for level in (0.001, 0.01, 0.1):
        assert at_most(quiet.p[:, i], level) <= level
        assert at_most(quiet.p_exchanged[:, i], level) <= level
    assert not quiet.gone.is_gone.any()


@pytest.mark.parametrize(("name", "sign"), [("dip", -1.0), ("intervals", 1.0)])
def test_low_and_bright_nights_at_random_are_in_stretches_and_series_no_more_often_than_they_should(name: str, sign: float) -> None:
    generator, (curves, stars) = np.random.default_rng(7), sky_of(2_000, seed=8)
    height = np.where(generator.random((2_000, 30, 1)) < 0.25, sign * generator.exponential(3_000.0, (2_000, 30, 1)), 0.0)
    flux = (curves.flux.reshape(2_000, 30, 2) + height).ravel()
    found = star_tests.tested(LightCurves(curves.offsets, curves.mjd, curves.band, flux, curves.flux_err), stars, EVENTS)
    i = star_tests.CHANCES.index(name)
    assert np.isfinite(found.p[:, i]).sum() > 1_000
    assert not np.array_equal(found.p[:, i], found.p_exchanged[:, i], equal_nan=True)
    for level in (0.001, 0.01, 0.1):
        assert at_most(found.p[:, i], level) <= level
        assert at_most(found.p_exchanged[:, i], level) <= level


def test_the_least_of_all_chances_is_odd_no_more_often_than_it_says(quiet: star_tests.Tested) -> None:
    for p in (quiet.p, quiet.p_exchanged):
        combined, n = star_tests.after_look_elsewhere(p)
        assert n.max() > 2 and np.isfinite(combined).mean() > 0.9
        for level in (0.001, 0.01, 0.1):
            assert at_most(combined, level) <= level


def test_after_look_elsewhere_uniform_chances_are_uniform_however_many_there_are() -> None:
    generator = np.random.default_rng(2)
    p = generator.uniform(0.0, 1.0, (20_000, 6))
    p[generator.random((20_000, 6)) < 0.4] = np.nan
    combined, n = star_tests.after_look_elsewhere(p)
    assert (n == np.isfinite(p).sum(axis=1)).all() and (np.isnan(combined) == (n == 0)).all()
    assert stats.kstest(combined[n > 0], "uniform").pvalue > 1e-3
    assert star_tests.after_look_elsewhere(np.array([[1e-12, np.nan, 0.5]]))[0] == pytest.approx(2e-12)


def test_a_star_is_judged_the_same_whoever_stands_beside_it() -> None:
    curves, stars = sky_of(60, seed=3)
    rows = np.array([41, 7, 12])
    together, alone = star_tests.tested(curves, stars, EVENTS), star_tests.tested(curves_at(curves, rows), rows_of(stars, rows), EVENTS)
    for name in ("p", "p_exchanged", "event_mjd", "n_levels", "opposition_days"):
        assert getattr(together, name)[rows] == pytest.approx(getattr(alone, name), nan_ok=True, abs=0.0)


def test_exchanged_nights_are_the_same_nights_in_another_order() -> None:
    curves, stars = sky_of(300, seed=4)
    nights = nights_of(curves)
    other = star_tests.exchanged(nights, stars.key)
    assert (other.mjd == nights.mjd).all()
    moved = 0.0
    for a, b in zip(nights.offsets[:-1], nights.offsets[1:], strict=True):
        own, new = nights.lowest[a:b], other.lowest[a:b]
        assert sorted(own) == sorted(new)
        assert {*zip(own, nights.highest[a:b], strict=True)} == {*zip(new, other.highest[a:b], strict=True)}  # a night stays together
        moved += np.corrcoef(own, new)[0, 1]
    assert abs(moved / 300) < 0.05


def test_the_event_is_the_first_of_the_most_significant_detections() -> None:
    curves = light_curves([0, 4, 4, 6], [1.0, 2, 3, 4, 5, 6], [G, R, G, R, G, R], [1.0, -8, 8, 3, 2, 3], [1.0, 1, 1, 1, 1, 2])
    assert star_tests.strongest(curves) == pytest.approx([2.0, np.nan, 5.0], nan_ok=True)
    nobody = light_curves([0, 0], [], [], [], [])
    assert np.isnan(star_tests.strongest(nobody)).all()


def test_an_event_at_a_crossing_is_odd_and_a_star_without_distance_is_not_tried() -> None:
    curves, stars = sky_of(2, seed=5)
    crossing = star_tests.coincidences(np.array([58_100.0, 58_100.0]), stars, EVENTS)
    assert np.isnan(crossing.p[1]) and crossing.event[1] == -1
    at = crossing.crossing_mjd[0]
    looked = star_tests.Stars(
        *(getattr(stars, name) for name in list(vars(stars))[:7]), stars.looked + (at - 58_150.0), stars.looked_offsets
    )
    found = star_tests.coincidences(np.array([at + 0.1, at]), looked, EVENTS)
    span = looked.looked[59] - looked.looked[0]
    assert found.p[0] == pytest.approx(1.0 - (1.0 - 0.2 / span) ** 2, rel=1e-6) and abs(found.z[0]) < 0.01
    far = star_tests.coincidences(np.array([at + 10_000.0, at]), looked, EVENTS)
    assert far.p[0] == 1.0  # a crossing that is far away is none, however near in the star's span


def test_light_missing_in_both_bands_is_judged_as_the_pairs_alone_are() -> None:
    curves, stars = sky_of(200, seed=6)
    flux = curves.flux.reshape(200, 30, 2).copy()
    flux[:, 10:14] -= 3_000.0  # of 10,000 in both
    whole = LightCurves(curves.offsets, curves.mjd, curves.band, flux.ravel(), curves.flux_err)
    found = star_tests.tested(whole, stars, EVENTS).screens
    missing, error = -flux / 1e4, 0.01
    p = np.full(200, np.nan)
    for b in range(200):
        is_pair = ((missing[b] > 0.0) & (missing[b] < 1.0 + 3.0 * error)).all(axis=1)
        g, r, errors = missing[b, is_pair, 0], missing[b, is_pair, 1], np.full(is_pair.sum(), error)
        chi2 = achromatic.opaque_chi2(g, errors, r, errors), achromatic.dust_chi2(g, errors, r, errors)
        p[b] = achromatic.screens(*chi2, np.zeros(len(g), np.int64), 1).p[0]
        assert found.n[b] == is_pair.sum()
    assert found.p == pytest.approx(p, rel=1e-9)
