"""SNANA's text files, one object each."""

from __future__ import annotations

import pytest

from deeprubin_spark.ingestion import snana_text
from tests.conftest import DATA

FILE = DATA / "spcc" / "dat" / "DES_SN000017.DAT"


@pytest.fixture(scope="module")
def text():
    return FILE.read_text()


def test_what_an_observer_has_is_what_the_file_says(text):
    found = snana_text.observed(text)
    assert {name: found[name] for name in ("object_id", "ra", "dec", "ebv", "photo_z", "photo_z_err")} == {
        "object_id": "17",
        "ra": 0.5,
        "dec": -43.0,
        "ebv": 0.0111,
        "photo_z": 0.3502,
        "photo_z_err": 0.0468,
    }
    n_points = int(text.partition("NOBS:")[2].split()[0])
    assert {len(found[name]) for name in ("mjd", "band", "flux", "flux_err")} == {n_points}
    assert (found["mjd"][0], found["band"][0], found["flux"][0], found["flux_err"][0]) == (56171.051, "g", -36.79, 78.09)


def test_an_observer_does_not_see_the_truth(text):
    without = "\n".join(line for line in text.splitlines() if not line.startswith(("SIM_", "SNTYPE", "REDSHIFT_", "SEARCH_")))
    assert snana_text.observed(without) == snana_text.observed(text)
    told = snana_text.observed(text)
    assert "SIM_RA" in text and set(told) == {"object_id", "ra", "dec", "ebv", "photo_z", "photo_z_err", "mjd", "band", "flux", "flux_err"}


def test_the_truth_is_the_type_alone(text):
    assert snana_text.truth(text) == {"object_id": "17", "sntype": -9, "true_type": "II"}


def test_columns_are_found_by_their_names(text):
    swapped = text.replace("VARLIST:  MJD  FLT FIELD   FLUXCAL   FLUXCALERR", "VARLIST:  MJD  FLT FIELD   FLUXCALERR   FLUXCAL")
    assert swapped != text
    one, other = snana_text.observed(text), snana_text.observed(swapped)
    assert (one["flux"], one["flux_err"]) == (other["flux_err"], other["flux"])


@pytest.mark.parametrize("lost", ["SNID:", "RA:", "DECL:", "VARLIST:"])
def test_a_file_without_a_line_that_is_needed_is_none(text, lost):
    assert snana_text.observed("\n".join(line for line in text.splitlines() if not line.startswith(lost))) is None


@pytest.mark.parametrize("line", ["OBS: 56171.051 g NULL", "OBS: 56171.051 g NULL abc 1.0 0 0 0 0"])
def test_a_file_with_a_broken_measurement_is_none(text, line):
    assert snana_text.observed(text + line + "\n") is None


def test_a_file_without_a_host_has_no_redshift(text):
    found = snana_text.observed("\n".join(line for line in text.splitlines() if not line.startswith(("HOST_", "MWEBV"))))
    assert (found["photo_z"], found["photo_z_err"], found["ebv"]) == (None, None, None)
