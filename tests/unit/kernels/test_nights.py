"""Nights and mid-exposure times."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.nights import mid_exposure_mjd, ztf_night


def test_the_first_and_last_exposure_before_midnight_ut_share_a_night():
    # astropy.time.Time("2018-11-29T00:00:00").jd is 2458451.5
    nights = ztf_night(np.array([2458451.5, 2458451.99, 2458452.499999, 2458452.5]))
    assert nights.astype(str).tolist() == ["2018-11-29", "2018-11-29", "2018-11-29", "2018-11-30"]


def test_a_night_before_1858_and_an_unknown_one_do_not_fail():
    assert ztf_night(np.array([2400000.0, np.nan, np.inf])).astype(str).tolist() == ["1858-11-16", "NaT", "NaT"]


def test_the_middle_of_an_exposure_is_half_of_it_later():
    mjd = mid_exposure_mjd(np.array([2458451.5, 2458451.5]), np.array([30.0, 86400.0]))
    np.testing.assert_allclose(mjd, [58451.0 + 15.0 / 86400.0, 58451.5], rtol=0, atol=1e-9)


def test_an_absent_exposure_time_is_thirty_seconds():
    jd = np.full(4, 2458451.5)
    np.testing.assert_array_equal(mid_exposure_mjd(jd, np.array([30.0, np.nan, -999.0, 0.0])), np.full(4, 58451.0 + 15.0 / 86400.0))


def test_times_and_exposures_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="one length"):
        mid_exposure_mjd(np.zeros(2), np.zeros(3))
