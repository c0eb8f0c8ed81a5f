"""The posterior of the Gaussian process against `george`, against the plain twin, and against what a posterior must do."""

from __future__ import annotations

import dataclasses

import george
import numpy as np
import pytest
from george import kernels as george_kernels

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels import gaussian_process as gp
from deeprubin_spark.kernels import gaussian_process_twin as twin
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves

WAVELENGTHS = np.array([band.wavelength for band in BANDS])
GRID = np.linspace(-30.0, 1100.0, 40)  # [d] from the first point
ASKED = np.array([4000.0, 6223.0, 11000.0])  # [Angstrom] between bands, in a band, redder than all


def objects(curves: LightCurves):
    """Each object's time since its first point, wavelength, flux and error."""
    for first, end in zip(curves.offsets[:-1], curves.offsets[1:], strict=True):
        rows = slice(first, end)
        yield curves.mjd[rows] - curves.mjd[first], WAVELENGTHS[curves.band[rows]], curves.flux[rows], curves.flux_err[rows]


def process_of(fits: gp.Fits, k: int) -> twin.Process:
    return twin.Process(fits.amplitude[k], fits.timescale[k], fits.wavelength_scale[k], fits.jitter[k])


def on_grid(curves: LightCurves, fits: gp.Fits, wavelengths=ASKED) -> gp.Posterior:
    query = np.concatenate([curves.mjd[first] + GRID for first in curves.offsets[:-1]])
    return gp.posterior(curves, fits, np.arange(curves.n_objects + 1) * len(GRID), query, wavelengths)


def with_bands(curves: LightCurves, bands: list[int]) -> LightCurves:
    keep = np.isin(curves.band, bands)
    owner = np.repeat(np.arange(curves.n_objects), np.diff(curves.offsets))
    counts = np.bincount(owner[keep], minlength=curves.n_objects)
    return LightCurves(np.r_[0, np.cumsum(counts)], curves.mjd[keep], curves.band[keep], curves.flux[keep], curves.flux_err[keep])


@pytest.mark.parametrize("fit", [gp.fit, gp.fit_with_bands])
@pytest.mark.parametrize("bands", [[1], [1, 2], [1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5]], ids=len)
def test_mean_deviation_and_slope_are_those_of_the_plain_twin_for_any_number_of_bands(bands, fit, plasticc_six_bands):
    curves = with_bands(plasticc_six_bands, bands)
    fits = fit(curves)
    found = on_grid(curves, fits)
    for k, curve in enumerate(objects(curves)):
        rows, process = slice(k * len(GRID), (k + 1) * len(GRID)), process_of(fits, k)
        for w, at in enumerate(ASKED):
            mean, variance, slope = twin.posterior(*curve, process, GRID, np.full(len(GRID), at))
            np.testing.assert_allclose(found.mean[rows, w], mean, rtol=0.0, atol=1e-8 * np.abs(curve[2]).max())
            np.testing.assert_allclose(found.sd[rows, w] ** 2, twin.widened(mean, variance, process) ** 2, rtol=1e-7)
            np.testing.assert_allclose(found.slope[rows, w], slope, rtol=0.0, atol=1e-8 * np.abs(slope).max())
            alone = (found.sd[rows, w] ** 2 - process.jitter**2) / (1.0 + (mean / process.amplitude) ** 2)
            np.testing.assert_allclose(alone, variance, rtol=1e-7, atol=1e-14 * process.jitter**2)


@pytest.mark.parametrize("sample", ["plasticc", "plasticc_six_bands"])
def test_mean_and_deviation_are_those_of_george(sample, request):
    curves = request.getfixturevalue(sample)
    fits = gp.fit(curves)
    found = on_grid(curves, fits)
    for k, (time, wavelength, flux, flux_err) in enumerate(objects(curves)):
        in_time = george_kernels.Matern32Kernel(fits.timescale[k] ** 2, ndim=2, axes=0)
        process = george.GP(fits.amplitude[k] ** 2 * in_time * george_kernels.Matern32Kernel(6000.0**2, ndim=2, axes=1))
        process.compute(np.column_stack([time, wavelength]), np.hypot(flux_err, fits.jitter[k]))
        rows = slice(k * len(GRID), (k + 1) * len(GRID))
        for w, at in enumerate(ASKED):
            mean, variance = process.predict(flux, np.column_stack([GRID, np.full(len(GRID), at)]), return_var=True)
            np.testing.assert_allclose(found.mean[rows, w], mean, rtol=0.0, atol=1e-8 * np.abs(flux).max())
            sd = twin.widened(mean, variance, process_of(fits, k))
            np.testing.assert_allclose(found.sd[rows, w] ** 2, sd**2, rtol=1e-6, atol=1e-8 * fits.amplitude[k] ** 2)


def test_the_slope_is_the_difference_quotient_of_the_mean(plasticc):
    fits, step = gp.fit(plasticc), 1e-4
    query = np.concatenate([plasticc.mjd[first] + np.array([40.0 - step, 40.0, 40.0 + step]) for first in plasticc.offsets[:-1]])
    found = gp.posterior(plasticc, fits, np.arange(plasticc.n_objects + 1) * 3, query, WAVELENGTHS[1:3])
    quotient = (found.mean[2::3] - found.mean[::3]) / (query[2::3] - query[::3])[:, None]
    np.testing.assert_allclose(found.slope[1::3], quotient, rtol=1e-3, atol=1e-4 * np.abs(quotient).max())


@pytest.mark.parametrize("sample", ["plasticc", "plasticc_six_bands"])
def test_weights_hold_the_residuals_from_the_mean(sample, request):
    curves = request.getfixturevalue(sample)
    fits = gp.fit(curves)
    counts = np.diff(curves.offsets)
    mean = gp.posterior(curves, fits, curves.offsets, curves.mjd, WAVELENGTHS).mean[np.arange(len(curves.mjd)), curves.band]
    noise = curves.flux_err**2 + np.repeat(fits.jitter, counts) ** 2
    np.testing.assert_allclose(curves.flux - mean, noise * gp.data_weights(curves, fits), atol=1e-8 * np.abs(curves.flux).max())


@pytest.mark.parametrize("sample", ["plasticc", "plasticc_six_bands"])
def test_leaving_a_point_out_is_leaving_it_out(sample, request):
    curves = request.getfixturevalue(sample)
    fits = gp.fit(curves)
    found = gp.leave_one_out(curves, fits)
    for k, (time, wavelength, flux, flux_err) in enumerate(objects(curves)):
        i = len(time) // 2
        rest = np.arange(len(time)) != i
        process = process_of(fits, k)
        mean, variance, _ = twin.posterior(
            *(a[rest] for a in (time, wavelength, flux, flux_err)), process, time[i : i + 1], wavelength[i : i + 1]
        )
        row = curves.offsets[k] + i
        assert found.mean[row] == pytest.approx(mean[0], abs=1e-7 * np.abs(flux).max())
        assert found.sd[row] ** 2 == pytest.approx(variance[0] + flux_err[i] ** 2 + process.jitter**2, rel=1e-7)


def test_far_from_the_points_the_posterior_is_the_prior(plasticc):
    fits = gp.fit(plasticc)
    far = plasticc.mjd[plasticc.offsets[1:] - 1] + 1e5
    found = gp.posterior(plasticc, fits, np.arange(plasticc.n_objects + 1), far, WAVELENGTHS[1:3])
    np.testing.assert_allclose(found.mean, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.slope, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.sd, np.tile(np.hypot(fits.amplitude, fits.jitter)[:, None], 2), rtol=1e-9)


def test_a_curve_in_one_band_says_less_of_another_the_farther_it_is(plasticc):
    curves = with_bands(plasticc, [1])
    fits = gp.fit(curves)
    found = on_grid(curves, dataclasses.replace(fits, jitter=np.zeros(curves.n_objects)), WAVELENGTHS[1:])
    variance = found.sd**2 / (1.0 + (found.mean / np.repeat(fits.amplitude, len(GRID))[:, None]) ** 2)
    assert np.all(np.diff(variance, axis=1) >= -1e-9 * np.repeat(fits.amplitude, len(GRID))[:, None] ** 2)
    np.testing.assert_array_less(np.abs(found.mean[:, 1:]), np.abs(found.mean[:, :-1]) + 1e-9 * np.abs(curves.flux).max())


def test_objects_without_a_fit_and_queries_out_of_order_have_no_posterior(plasticc):
    short = light_curves(np.array([0, 2, 5]), np.arange(5.0), np.ones(5), np.ones(5), np.ones(5))
    fits = gp.fit(short)
    found = gp.posterior(short, fits, np.array([0, 2, 4]), np.array([0.0, 1.0, 3.0, 2.0]), WAVELENGTHS[:2])
    assert np.isnan(np.concatenate(found)).all()
    assert np.isnan(gp.data_weights(short, fits)[:2]).all() and np.isfinite(gp.data_weights(short, fits)[2:]).all()


def test_an_objects_posterior_does_not_notice_the_batch_it_came_in(plasticc_six_bands):
    curves = plasticc_six_bands
    fits = gp.fit(curves)
    together = on_grid(curves, fits)
    rows = slice(curves.offsets[4], curves.offsets[5])
    alone = light_curves(np.array([0, rows.stop - rows.start]), *(a[rows] for a in (curves.mjd, curves.band, curves.flux, curves.flux_err)))
    found = on_grid(alone, gp.fit(alone))
    for whole, part in zip(together, found, strict=True):
        np.testing.assert_array_equal(whole[4 * len(GRID) : 5 * len(GRID)], part)


def test_a_factor_on_flux_is_a_factor_on_mean_deviation_and_slope(plasticc):
    brighter = LightCurves(plasticc.offsets, plasticc.mjd, plasticc.band, 1024.0 * plasticc.flux, 1024.0 * plasticc.flux_err)
    for plain, bright in zip(on_grid(plasticc, gp.fit(plasticc)), on_grid(brighter, gp.fit(brighter)), strict=True):
        np.testing.assert_allclose(bright, 1024.0 * plain, rtol=1e-12)
