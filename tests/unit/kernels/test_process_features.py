"""What the Gaussian process says by itself, against the plain twin; the times at which its posterior is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels import gaussian_process as gp
from deeprubin_spark.kernels import gaussian_process_twin as twin
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.model_comparison import process_bic
from deeprubin_spark.kernels.process_features import (
    NEWEST_STATISTICS,
    PROCESS_STATISTICS,
    fill_newest_statistics,
    fill_process_statistics,
    grid_queries,
    gridded,
)

WAVELENGTHS = np.array([b.wavelength for b in BANDS])


def points_of(curves, k: int):
    rows = slice(curves.offsets[k], curves.offsets[k + 1])
    return curves.mjd[rows], WAVELENGTHS[curves.band[rows]], curves.flux[rows], curves.flux_err[rows]


def process_of(fits: gp.Fits, k: int) -> twin.Process:
    return twin.Process(fits.amplitude[k], fits.timescale[k], fits.wavelength_scale[k], fits.jitter[k])


@pytest.fixture(scope="module")
def fits(plasticc_six_bands) -> gp.Fits:
    return gp.fit(plasticc_six_bands)


def test_the_posterior_is_asked_for_on_equal_steps_and_at_the_newest_point(plasticc):
    chosen = np.arange(plasticc.n_objects) != 3
    queries = grid_queries(plasticc, chosen, 64, 10.0)
    assert (np.diff(queries.offsets) == np.where(chosen, 65, 0)).all() and queries.newest[3] == -1 and np.isnan(queries.step[3])
    for k in np.flatnonzero(chosen):
        times = queries.mjd[queries.offsets[k] : queries.offsets[k + 1]]
        first, last = plasticc.mjd[plasticc.offsets[k]], plasticc.mjd[plasticc.offsets[k + 1] - 1]
        assert (np.diff(times) >= 0.0).all() and times[queries.newest[k]] == last
        np.testing.assert_allclose(np.delete(times, queries.newest[k]), np.linspace(first - 10.0, last + 10.0, 64), rtol=0, atol=1e-8)


def test_the_grid_holds_the_twins_posterior_and_its_slope(plasticc_six_bands, fits):
    curves, bands = plasticc_six_bands, WAVELENGTHS[[1, 2]]
    queries = grid_queries(curves, fits.status == 0, 64, 10.0)
    grid, newest = gridded(queries, *gp.posterior(curves, fits, queries.offsets, queries.mjd, bands))
    for k in range(curves.n_objects):
        time = np.append(grid.start[k] + grid.step[k] * np.arange(64), curves.mjd[curves.offsets[k + 1] - 1])
        for w, wavelength in enumerate(bands):
            mean, variance, slope = twin.posterior(*points_of(curves, k), process_of(fits, k), time, np.full(65, wavelength))
            sd, scale = twin.widened(mean, variance, process_of(fits, k)), np.abs(mean).max()
            np.testing.assert_allclose(np.append(grid.mean[k, w], newest[k, w, 0]), mean, rtol=0, atol=1e-6 * scale)
            np.testing.assert_allclose(np.append(grid.sd[k, w], newest[k, w, 1]), sd, rtol=1e-5)
            np.testing.assert_allclose(np.append(grid.slope[k, w], newest[k, w, 2]), slope, rtol=0, atol=1e-6 * np.abs(slope).max())
    out = np.full((curves.n_objects, 8), np.nan)
    fill_newest_statistics(newest, out, 0)
    expected = [newest[0, 1, 0], newest[0, 1, 2], newest[0, 1, 1], newest[0, 1, 0] / newest[0, 1, 1]]
    assert NEWEST_STATISTICS == ("last_flux", "last_slope", "last_sd", "last_snr") and out[0, 4:].tolist() == expected


def test_answers_that_are_no_numbers_leave_an_object_without_grid(plasticc):
    queries = grid_queries(plasticc, np.ones(plasticc.n_objects, bool), 64, 10.0)
    mean, sd, slope = np.ones((3, len(queries.mjd), 2))
    mean[65 + 7, 1], sd[2 * 65, 0], slope[4 * 65, 0] = np.nan, 0.0, np.inf
    grid, newest = gridded(queries, mean, sd, slope)
    lost = np.isnan(grid.step)
    assert np.flatnonzero(lost).tolist() == [1, 2, 4]
    assert np.isnan(grid.mean[lost]).all() and np.isnan(newest[lost]).all() and np.isfinite(grid.mean[~lost]).all()


def test_fit_statistics_are_those_of_the_twin(plasticc_six_bands, fits):
    curves = plasticc_six_bands
    out = np.full((curves.n_objects, len(PROCESS_STATISTICS)), np.nan)
    fill_process_statistics(curves, fits, gp.data_weights(curves, fits), fits.status, out, 0)
    for k in range(curves.n_objects):
        time, wavelength, flux, flux_err = points_of(curves, k)
        process = process_of(fits, k)
        mean, _, _ = twin.posterior(time, wavelength, flux, flux_err, process, time, wavelength)
        nll = -(twin.log_evidence(time, wavelength, flux, flux_err, process) + np.log(flux_err).sum()) / len(flux)
        ratio = process.amplitude / np.median(flux_err)
        share = process.jitter**2 / (process.amplitude**2 + process.jitter**2)
        expected = [process.timescale, process.amplitude, ratio, share, nll, np.mean(((flux - mean) / flux_err) ** 2)]
        np.testing.assert_allclose(out[k], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_evidence_in_units_of_the_errors_knows_no_unit_of_flux(plasticc, unit):
    column = PROCESS_STATISTICS.index("gp_nll_per_obs")
    found = []
    for factor in (1.0, unit):
        curves = light_curves(plasticc.offsets, plasticc.mjd, plasticc.band, factor * plasticc.flux, factor * plasticc.flux_err)
        fits = gp.fit(curves)
        out = np.full((curves.n_objects, len(PROCESS_STATISTICS)), np.nan)
        fill_process_statistics(curves, fits, gp.data_weights(curves, fits), fits.status, out, 0)
        found.append(out[:, column])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


@pytest.mark.parametrize("bands", [("g", "r"), ("r",), ("u", "g", "r", "i", "z", "y")])
def test_the_process_is_compared_by_the_points_in_the_sets_bands_alone(plasticc_six_bands, fits, bands):
    curves = plasticc_six_bands
    found = process_bic(curves, fits, bands)
    for k in range(curves.n_objects):
        time, wavelength, flux, flux_err = points_of(curves, k)
        own = np.isin(wavelength, [b.wavelength for b in BANDS if b.name in bands])
        evidence = twin.log_evidence(time[own], wavelength[own], flux[own], flux_err[own], process_of(fits, k))
        assert found[k] == pytest.approx(-2.0 * evidence + 3.0 * np.log(own.sum()), rel=1e-6, abs=1e-5)


def test_without_points_in_the_bands_there_is_nothing_to_compare():
    curves = light_curves(np.array([0, 4]), np.arange(4.0), np.full(4, 3), np.ones(4), np.ones(4))
    assert np.isnan(process_bic(curves, gp.fit(curves), ("g", "r"))).all()
