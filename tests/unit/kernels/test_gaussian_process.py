"""The fit of the Gaussian process: its evidence against `george` and the plain twin, its optimum against SciPy, and what must not move it."""

from __future__ import annotations

import dataclasses

import george
import numpy as np
import pytest
from george import kernels as george_kernels
from scipy.optimize import minimize

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels import gaussian_process as gp
from deeprubin_spark.kernels import gaussian_process_twin as twin
from deeprubin_spark.kernels.gaussian_process_bounds import TIMESCALE_MAX, timescale_floor
from deeprubin_spark.kernels.gaussian_process_evidence import AMPLITUDE_RANGE, LANES, WAVELENGTH_SCALE_RANGE
from deeprubin_spark.kernels.light_curves import LightCurves, latest_points, light_curves

WAVELENGTHS = np.array([band.wavelength for band in BANDS])
FITS = {"correlation fixed": gp.fit, "correlation fitted": gp.fit_with_bands}


def objects(curves: LightCurves):
    """Each object's time since its first point, wavelength, flux and error."""
    for first, end in zip(curves.offsets[:-1], curves.offsets[1:], strict=True):
        rows = slice(first, end)
        yield curves.mjd[rows] - curves.mjd[first], WAVELENGTHS[curves.band[rows]], curves.flux[rows], curves.flux_err[rows]


def process_of(fits: gp.Fits, k: int) -> twin.Process:
    return twin.Process(fits.amplitude[k], fits.timescale[k], fits.wavelength_scale[k], fits.jitter[k])


def one(mjd, band, flux, flux_err) -> LightCurves:
    return light_curves(np.array([0, len(mjd)]), np.array(mjd), np.array(band), np.array(flux), np.array(flux_err))


def with_bands(curves: LightCurves, bands: list[int]) -> LightCurves:
    keep = np.isin(curves.band, bands)
    owner = np.repeat(np.arange(curves.n_objects), np.diff(curves.offsets))
    counts = np.bincount(owner[keep], minlength=curves.n_objects)
    return LightCurves(np.r_[0, np.cumsum(counts)], curves.mjd[keep], curves.band[keep], curves.flux[keep], curves.flux_err[keep])


def multi_start(time, wavelength, flux, flux_err) -> float:
    """Highest log posterior that SciPy finds from a grid of starts, with george's gradient; fluxes in units of their root mean square."""
    unit = np.sqrt(np.mean(flux**2))
    flux, flux_err = flux / unit, flux_err / unit
    kernel = 1.0 * george_kernels.Matern32Kernel(400.0, ndim=2, axes=0) * george_kernels.Matern32Kernel(6000.0**2, ndim=2, axes=1)
    kernel.freeze_parameter("k2:metric:log_M_0_0")
    process = george.GP(kernel, white_noise=-8.0, fit_white_noise=True)
    process.compute(np.column_stack([time, wavelength]), flux_err)

    def negative(point):  # ln j^2, ln (A^2 / 2), ln l^2
        process.set_parameter_vector(point)
        slope, z = -process.grad_log_likelihood(flux, quiet=True), 0.5 * point[2] - np.log(22.0)
        slope[2] += 0.5 * z
        return -process.log_likelihood(flux, quiet=True) + 0.5 * z * z, slope

    floor = timescale_floor(time)
    limits = [(2.0 * np.log(0.02 * flux_err.min()), np.log(1.5)), (-10.0, 10.0), (2.0 * np.log(floor), 2.0 * np.log(TIMESCALE_MAX))]
    starts = [(jitter, -0.7, 2.0 * np.log(max(t, floor))) for t in (5.0, 60.0) for jitter in (limits[0][0], -1.0)]
    found = [minimize(negative, start, jac=True, bounds=limits, method="L-BFGS-B").fun for start in starts]
    return -min(found) - len(flux) * np.log(unit)


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
@pytest.mark.parametrize("bands", [[1], [1, 2], [1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]], ids=len)
def test_the_evidence_is_that_of_the_plain_twin_for_any_number_of_bands(bands, fit, plasticc_six_bands):
    curves = with_bands(plasticc_six_bands, bands)
    fits = fit(curves)
    np.testing.assert_allclose(gp.log_evidence(curves, fits), fits.log_evidence, rtol=1e-10, atol=1e-8)
    for k, curve in enumerate(objects(curves)):
        process = process_of(fits, k)
        assert fits.log_evidence[k] == pytest.approx(twin.log_evidence(*curve, process), rel=1e-9, abs=1e-7)
        assert fits.log_posterior[k] - fits.log_evidence[k] == pytest.approx(twin.log_prior(process), abs=1e-7)


@pytest.mark.parametrize("sample", ["plasticc", "plasticc_six_bands"])
def test_the_evidence_at_given_parameters_is_that_of_george(sample, request):
    curves = request.getfixturevalue(sample)
    fits = gp.fit(curves)
    for amplitude, timescale, jitter in ((1.0, 20.0, 0.0), (3.0, 150.0, 0.2)):
        full = np.ones(curves.n_objects)
        given = dataclasses.replace(fits, amplitude=amplitude * fits.scale, timescale=timescale * full, jitter=jitter * fits.scale)
        found = gp.log_evidence(curves, given)
        for k, (time, wavelength, flux, flux_err) in enumerate(objects(curves)):
            in_time = george_kernels.Matern32Kernel(timescale**2, ndim=2, axes=0)
            kernel = given.amplitude[k] ** 2 * in_time * george_kernels.Matern32Kernel(6000.0**2, ndim=2, axes=1)
            process = george.GP(kernel)
            process.compute(np.column_stack([time, wavelength]), np.hypot(flux_err, given.jitter[k]))
            assert found[k] == pytest.approx(process.log_likelihood(flux), rel=1e-8, abs=1e-6)


def test_most_fits_are_as_good_as_a_multi_start_of_scipy_and_none_is_far_behind(plasticc):
    """The search has about six batches of candidates: where a far maximum is a little higher, it may stay on the nearer one."""
    fits = gp.fit(plasticc)
    curves = list(objects(plasticc))
    behind = np.array([multi_start(*curves[k]) - fits.log_posterior[k] for k in range(0, plasticc.n_objects, 2)])
    assert np.median(behind) < 0.01 and np.mean(behind < 0.1) > 0.8 and behind.max() < 2.0


def test_fitting_the_correlation_of_the_bands_never_lowers_the_posterior(plasticc):
    fixed, fitted = gp.fit(plasticc), gp.fit_with_bands(plasticc)
    assert np.all(fixed.wavelength_scale == pytest.approx(6000.0))
    assert np.all(fitted.log_posterior >= fixed.log_posterior - 1e-9) and np.any(fitted.log_posterior > fixed.log_posterior + 0.5)
    assert np.all(np.abs(np.log(fitted.wavelength_scale / 6000.0)) <= np.log(WAVELENGTH_SCALE_RANGE) + 1e-9)


def test_bands_that_move_apart_get_a_shorter_wavelength_scale_than_bands_that_move_together():
    rng = np.random.default_rng(5)
    time, band = np.sort(rng.uniform(0.0, 300.0, 120)), np.tile([1, 4], 60)
    error = np.full(120, 2.0)
    together = 100.0 * np.sin(time / 20.0) + rng.normal(0.0, 2.0, 120)
    apart = np.where(band == 1, together, 100.0 * np.cos(time / 13.0) + rng.normal(0.0, 2.0, 120))
    scales = [gp.fit_with_bands(one(time, band, flux, error)).wavelength_scale[0] for flux in (together, apart)]
    assert scales[1] < 5000.0 < 8000.0 < scales[0]


def test_a_star_that_varies_faster_than_its_cadence_is_jitter_and_a_slow_transient_is_not():
    rng = np.random.default_rng(6)
    time, band, error = np.sort(rng.uniform(0.0, 900.0, 80)), rng.integers(1, 3, 80), np.full(80, 5.0)
    noise = rng.normal(0.0, 5.0, 80)
    star = gp.fit(one(time, band, 300.0 * np.sin(2 * np.pi * time / 0.5673) + noise, error))
    transient = gp.fit(one(time, band, 300.0 * np.exp(-0.5 * ((time - 450.0) / 120.0) ** 2) + noise, error))
    assert star.jitter[0] > 150.0 and transient.jitter[0] < 5.0


def test_a_fit_lies_within_its_bounds_and_above_the_floor_of_its_cadence(plasticc):
    fits = gp.fit(plasticc)
    floors = np.array([timescale_floor(time) for time, *_ in objects(plasticc)])
    assert np.all(fits.timescale >= floors * (1 - 1e-12)) and np.all(fits.timescale <= TIMESCALE_MAX * (1 + 1e-12))
    assert np.all(np.abs(np.log(fits.amplitude / fits.scale)) <= np.log(AMPLITUDE_RANGE) + 1e-12)
    assert np.all(fits.jitter >= 0.0)


@pytest.mark.parametrize(
    ("mjd", "floor"),
    [
        ([0.0, 3.0, 6.0, 6.1, 13.0], 6.0),  # gaps 3, 3, 6.9 days: twice the median; 0.1 d is the same night
        ([0.0, 0.01, 0.02], 0.1),  # one night says nothing of the cadence
        ([0.0, 700.0, 1400.0], 500.0),  # capped
        ([5.0, 5.0, 5.0], 0.1),
    ],
)
def test_timescale_floor_is_twice_the_median_gap_between_nights(mjd, floor):
    assert timescale_floor(np.array(mjd)) == pytest.approx(floor)


def test_the_order_of_points_taken_at_one_time_does_not_matter(plasticc_six_bands):
    curves = latest_points(plasticc_six_bands, 60)
    nights = np.floor(curves.mjd)  # makes many equal times
    shuffled = np.random.default_rng(1).permutation(len(nights))
    owner = np.repeat(np.arange(curves.n_objects), np.diff(curves.offsets))
    order = shuffled[np.lexsort((nights[shuffled], owner[shuffled]))]
    assert not np.array_equal(order, np.arange(len(order)))
    plain = LightCurves(curves.offsets, nights, curves.band, curves.flux, curves.flux_err)
    mixed = LightCurves(curves.offsets, nights[order], curves.band[order], curves.flux[order], curves.flux_err[order])
    fits, other = gp.fit(plain), gp.fit(mixed)
    np.testing.assert_allclose(gp.log_evidence(mixed, fits), fits.log_evidence, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(other.log_posterior, fits.log_posterior, rtol=1e-8, atol=1e-2)


def test_flux_scale_moves_amplitude_and_nothing_else(plasticc):
    plain = gp.fit(plasticc)
    brighter = gp.fit(LightCurves(plasticc.offsets, plasticc.mjd, plasticc.band, 1024.0 * plasticc.flux, 1024.0 * plasticc.flux_err))
    np.testing.assert_allclose(brighter.amplitude, 1024.0 * plain.amplitude, rtol=1e-12)
    np.testing.assert_allclose(brighter.jitter, 1024.0 * plain.jitter, rtol=1e-12)
    np.testing.assert_allclose(brighter.timescale, plain.timescale, rtol=1e-12)
    expected = plain.log_evidence - np.diff(plasticc.offsets) * np.log(1024.0)
    np.testing.assert_allclose(brighter.log_evidence, expected, rtol=1e-10)


def test_a_later_season_gives_the_same_fit(plasticc):
    plain = gp.fit(plasticc)
    later = gp.fit(LightCurves(plasticc.offsets, plasticc.mjd + 4096.0, plasticc.band, plasticc.flux, plasticc.flux_err))
    np.testing.assert_allclose(later.log_posterior, plain.log_posterior, rtol=1e-7, atol=1e-2)


def test_an_object_does_not_notice_the_batch_it_came_in(plasticc, plasticc_six_bands):
    for curves, fit in ((plasticc, gp.fit), (plasticc_six_bands, gp.fit_with_bands)):
        together = fit(curves)
        for k in (0, 3, 6):
            rows = slice(curves.offsets[k], curves.offsets[k + 1])
            alone = fit(one(curves.mjd[rows], curves.band[rows], curves.flux[rows], curves.flux_err[rows]))
            for name in ("amplitude", "timescale", "wavelength_scale", "jitter", "log_evidence", "log_posterior"):
                assert getattr(alone, name)[0] == getattr(together, name)[k], name


@pytest.mark.parametrize(
    ("mjd", "band", "flux", "flux_err"),
    [
        ([1.0, 2.0, 3.0], [1, 1, 1], [1.0, 2.0, 3.0], [1.0, 0.0, 1.0]),
        ([1.0, 2.0, 3.0], [1, 1, 1], [1.0, 2.0, 3.0], [1.0, -1.0, 1.0]),
        ([1.0, 2.0, 3.0], [1, 1, 1], [1.0, 2.0, 3.0], [1.0, np.nan, 1.0]),
        ([1.0, 2.0, 3.0], [1, 1, 1], [1.0, np.inf, 3.0], [1.0, 1.0, 1.0]),
        ([1.0, np.nan, 3.0], [1, 1, 1], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
        ([1.0, 3.0, 2.0], [1, 1, 1], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
        ([1.0, 2.0, 3.0], [1, 6, 1], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
        ([1.0, 2.0, 3.0], [1, -1, 1], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
    ],
)
def test_points_that_cannot_be_fitted_are_bad_input_and_leave_no_number(mjd, band, flux, flux_err):
    bad = one(mjd, band, flux, flux_err)
    fits = gp.fit(bad)
    assert gp.STATUS_NAMES[fits.status[0]] == "bad_input"
    assert all(np.isnan(getattr(fits, field.name)).all() for field in dataclasses.fields(fits) if field.name != "status")
    assert np.isnan(gp.log_evidence(bad, fits)).all()


def test_a_bad_object_leaves_its_neighbours_alone(plasticc):
    flux = plasticc.flux.copy()
    flux[plasticc.offsets[1]] = np.nan
    spoilt = LightCurves(plasticc.offsets, plasticc.mjd, plasticc.band, flux, plasticc.flux_err)
    fits, clean = gp.fit(spoilt), gp.fit(plasticc)
    others = np.arange(plasticc.n_objects) != 1
    assert gp.STATUS_NAMES[fits.status[1]] == "bad_input"
    np.testing.assert_array_equal(fits.log_posterior[others], clean.log_posterior[others])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_points_are_too_few(n):
    fits = gp.fit(one(np.arange(float(n)), np.arange(n) % 2, np.ones(n), np.ones(n)))
    assert gp.STATUS_NAMES[fits.status[0]] in (("bad_input", "too_few_points") if n == 0 else ("too_few_points",))
    assert np.isnan(fits.amplitude[0])


def test_no_objects_are_no_fits():
    nothing = light_curves(np.zeros(1), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    assert len(gp.fit(nothing).amplitude) == len(gp.fit_with_bands(nothing).status) == 0


EXTREMES = {
    "three points": ([0.0, 1.0, 2.0], [1, 1, 1], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]),
    "one time": ([5.0] * 4, [1, 1, 2, 2], [1.0, 2.0, 3.0, 4.0], [0.5] * 4),
    "no flux": ([0.0, 3.0, 6.0, 9.0], [1, 2, 1, 2], [0.0] * 4, [1.0] * 4),
    "huge errors": ([0.0, 3.0, 6.0, 9.0], [1, 2, 1, 2], [1.0, 2.0, 3.0, 4.0], [1e20] * 4),
    "one huge error": ([0.0, 3.0, 6.0, 9.0], [1, 2, 1, 2], [1.0, 2.0, 3.0, 4.0], [0.1, 0.1, 0.1, 1e20]),
    "one tiny error": ([0.0, 3.0, 6.0, 9.0], [1, 2, 1, 2], [1.0, 2.0, 3.0, 4.0], [0.1, 0.1, 0.1, 1e-9]),
    "a gap of 3000 days": ([0.0, 1.0, 2.0, 3002.0, 3003.0], [1, 2, 1, 2, 1], [1.0, 2.0, 3.0, -4.0, -3.0], [0.1] * 5),
    "faint": ([0.0, 3.0, 6.0, 9.0], [1, 2, 1, 2], [1e-12, 2e-12, 3e-12, 4e-12], [1e-13] * 4),
    "bright": ([0.0, 3.0, 6.0, 9.0], [1, 2, 1, 2], [1e12, 2e12, 3e12, 4e12], [1e11] * 4),
    "256 points": (np.arange(256.0), np.arange(256) % 2, np.sin(np.arange(256.0) / 9), np.full(256, 0.01)),
}


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
@pytest.mark.parametrize("curve", EXTREMES.values(), ids=EXTREMES)
def test_extreme_curves_have_finite_fits_and_posteriors(curve, fit):
    curves = one(*curve)
    fits = fit(curves)
    assert gp.STATUS_NAMES[fits.status[0]] == "ok"
    assert np.isfinite([fits.amplitude[0], fits.timescale[0], fits.jitter[0], fits.log_evidence[0]]).all()
    found = gp.posterior(curves, fits, np.array([0, 3]), np.array([-1e4, 4.5, 1e5]), WAVELENGTHS)
    assert np.isfinite(np.concatenate(found)).all() and (found.sd > 0.0).all()


def test_contradicting_points_without_error_are_a_failed_fit_not_a_number():
    same_time, tiny = [5.0] * 4, [1e-160] * 4
    fits = gp.fit(one(same_time, [1] * 4, [1.0, 2.0, 3.0, 4.0], tiny))
    assert gp.STATUS_NAMES[fits.status[0]] in ("fit_failed", "bad_input") and np.isnan(fits.amplitude[0])


def test_nanojanskys_of_any_size_can_be_fitted():
    rng = np.random.default_rng(3)
    mjd, band, flux = np.arange(20.0), np.tile([1, 2], 10), 5.0 + rng.normal(size=20)
    expected = gp.fit(one(mjd, band, flux, np.ones(20))).amplitude[0]
    for unit in (1e-90, 1e90):
        fits = gp.fit(one(mjd, band, unit * flux, np.full(20, unit)))
        assert fits.status[0] == 0 and fits.amplitude[0] / unit == pytest.approx(expected, rel=0.02)


def test_patterns_and_starts_fill_whole_sweeps():
    for candidates in (gp._STARTS, gp._FIXED_BANDS.pattern, gp._FITTED_BANDS.pattern):
        assert len(candidates) % LANES == 0
