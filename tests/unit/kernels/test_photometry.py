"""Magnitudes and fluxes, against numbers worked out by hand and ALeRCE's own corrected magnitudes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from deeprubin_spark.kernels.photometry import (
    ERROR_POLICIES,
    ab_magnitude,
    ab_magnitude_err,
    apparent_flux_njy,
    limit_njy,
    reference_is_valid,
    signed_flux_njy,
)

ALERCE = Path(__file__).parents[2] / "data" / "alerce_corrected" / "detections.csv"


def alerce(only_corrected: bool) -> dict[str, np.ndarray]:
    with ALERCE.open() as file:
        rows = [row for row in csv.DictReader(file) if not only_corrected or row["corrected"] == "True"]
    return {
        name: np.array([float(row[name] or "nan") if name not in ("objectId", "corrected", "dubious") else row[name] for row in rows])
        for name in rows[0]
    }


def apparent(detections: dict[str, np.ndarray], policy: str) -> tuple[np.ndarray, np.ndarray]:
    return apparent_flux_njy(
        detections["magpsf"], detections["sigmapsf"], detections["isdiffpos"] > 0, detections["magnr"], detections["sigmagnr"], policy
    )


def test_magnitude_31_4_is_one_nanojansky_and_2_5_magnitudes_are_a_factor_ten():
    flux, flux_err = signed_flux_njy(np.array([31.4, 28.9, 21.4]), np.array([0.1, 0.1, 0.2]), np.array([True, True, True]))
    np.testing.assert_allclose(flux, [1.0, 10.0, 1e4], rtol=1e-12)
    np.testing.assert_allclose(flux_err, [0.0921034037, 0.921034037, 1842.06807], rtol=1e-8)  # F ln(10) / 2.5 sigma


def test_a_source_fainter_than_its_reference_has_negative_flux_and_positive_error():
    flux, flux_err = signed_flux_njy(np.array([20.0, 20.0]), np.array([0.1, 0.1]), np.array([True, False]))
    assert flux[1] == -flux[0] < 0 < flux_err[1] == flux_err[0]


def test_a_missing_magnitude_is_a_missing_flux():
    flux, flux_err = signed_flux_njy(np.array([np.nan, 20.0]), np.array([0.1, np.nan]), np.array([True, True]))
    assert np.isnan(flux[0]) and np.isnan(flux_err[0]) and np.isfinite(flux[1]) and np.isnan(flux_err[1])


def test_arrays_of_other_lengths_are_refused_by_name():
    with pytest.raises(ValueError, match="magpsf: 2, sigmapsf: 1"):
        signed_flux_njy(np.array([20.0, 21.0]), np.array([0.1]), np.array([True, True]))


def test_a_limit_of_20_5_is_the_flux_of_a_source_of_20_5():
    np.testing.assert_allclose(limit_njy(np.array([20.5])), [22908.6765], rtol=1e-8)


@pytest.mark.parametrize("policy", ERROR_POLICIES)
def test_corrected_magnitudes_are_those_of_alerce(policy):
    detections = alerce(only_corrected=True)
    flux, _ = apparent(detections, policy)
    np.testing.assert_allclose(ab_magnitude(flux), detections["magpsf_corr"], atol=2e-5)
    assert len(flux) > 50


@pytest.mark.parametrize(("policy", "column"), [("alerce_corr", "sigmapsf_corr"), ("alerce_ext", "sigmapsf_corr_ext")])
def test_errors_of_corrected_magnitudes_are_those_of_alerce_and_absent_where_it_has_none(policy, column):
    detections = alerce(only_corrected=True)
    magnitude_err = ab_magnitude_err(*apparent(detections, policy))
    expected = np.where(detections[column] == 100.0, np.nan, detections[column])
    np.testing.assert_allclose(magnitude_err, expected, rtol=2e-3, atol=2e-6)


def test_quadrature_is_the_most_careful_policy():
    detections = alerce(only_corrected=True)
    errors = {policy: apparent(detections, policy)[1] for policy in ERROR_POLICIES}
    assert np.all(errors["quadrature"] > errors["alerce_ext"])
    assert np.all(~(errors["alerce_corr"] >= errors["alerce_ext"]))
    np.testing.assert_allclose(errors["quadrature"][0] ** 2 + errors["alerce_corr"][0] ** 2, 2 * errors["alerce_ext"][0] ** 2)


def test_a_source_that_lost_more_light_than_its_reference_has_no_apparent_flux():
    flux, flux_err = apparent_flux_njy(
        np.array([18.0]), np.array([0.1]), np.array([False]), np.array([19.0]), np.array([0.02]), "quadrature"
    )
    assert np.isnan(flux[0]) and np.isnan(flux_err[0])


def test_an_unknown_policy_is_refused():
    one = np.array([20.0])
    with pytest.raises(ValueError, match="alerce_corr, alerce_ext, quadrature, found 'best'"):
        apparent_flux_njy(one, one, np.array([True]), one, one, "best")


def test_the_reference_is_valid_where_alerce_corrected():
    detections = alerce(only_corrected=False)
    unknown = np.full(len(detections["magpsf"]), np.nan)
    valid = reference_is_valid(detections["distnr"], detections["magnr"], detections["magpsf"], detections["jdendref"], unknown)
    np.testing.assert_array_equal(valid, detections["corrected"] == "True")


def test_a_reference_with_the_events_light_in_it_is_not_valid():
    near, bright = np.full(4, 0.5), np.full(4, 18.0)
    jdendref = np.array([2458300.0, 2458500.0, np.nan, 2458500.0])
    first = np.array([2458400.0, 2458400.0, 2458400.0, np.nan])
    np.testing.assert_array_equal(reference_is_valid(near, bright, bright, jdendref, first), [True, False, True, True])


def test_a_missing_or_far_reference_is_not_valid():
    distnr, magnr = np.array([np.nan, -999.0, 1.4, 1.39, 0.5]), np.array([18.0, 18.0, 18.0, 18.0, -999.0])
    old = np.full(5, np.nan)
    np.testing.assert_array_equal(reference_is_valid(distnr, magnr, np.full(5, 19.0), old, old), [False, False, False, True, False])


def test_magnitude_of_a_flux_that_is_not_positive_is_missing():
    flux = np.array([1.0, 0.0, -5.0])
    np.testing.assert_array_equal(ab_magnitude(flux), [31.4, np.nan, np.nan])
    np.testing.assert_allclose(ab_magnitude_err(flux, np.full(3, 0.01)), [0.01085736, np.nan, np.nan], rtol=1e-6)
