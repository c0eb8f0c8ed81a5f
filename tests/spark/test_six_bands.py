"""Simulations of LSST, through the jobs, to features in six bands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from deeprubin_spark.jobs import benchmark, extract_features, ingest_plasticc

from deeprubin_spark.kernels.light_curve_features import N_GRID
from deeprubin_spark.schemas import FEATURES, FEATURES_LSST
from deeprubin_spark.tables import Warehouse
from tests.carried_features import SIX_BANDS, in_six_bands
from tests.conftest import DATA, SMALL_SESSION, places, settings_at

SAMPLE = DATA / "plasticc_sample"
NIGHT = "2024-12-30"


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    directory = tmp_path_factory.mktemp("six_bands")
    flags = [word for value in (*places(directory), *SMALL_SESSION) for word in ("--set", value)]
    assert ingest_plasticc.main(["--data", str(SAMPLE), "--survey", "plasticc", *flags]) == 0
    assert extract_features.main(["--night", NIGHT, "--survey", "plasticc", *flags]) == 0
    return Warehouse(spark, settings_at(directory).warehouse)


@pytest.fixture(scope="module")
def made(warehouse):
    return warehouse.read(FEATURES_LSST, survey="plasticc").toPandas().set_index("object_id").sort_index()


def test_every_flux_counts_and_the_table_holds_what_the_kernels_make_of_the_files(made):
    ids, found = in_six_bands()
    assert list(made.index) == list(ids) and (made["status"] == "ok").all() and (made["feature_set"] == SIX_BANDS.name).all()
    assert (made["n_limits"] == 0).all() and made["n_detections"].sum() == len(pd.read_parquet(SAMPLE / "lightcurves.parquet"))
    values = made[list(SIX_BANDS.names)].to_numpy(np.float64)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(found.values))
    # Fluxes are stored to a millionth of a nJy, and a parametric model with two solutions as good as each other may take the other.
    close = np.isclose(values, found.values, rtol=1e-4, atol=1e-6, equal_nan=True)
    is_parametric = np.array([feature.group == "parametric" for feature in SIX_BANDS.features])
    assert close[:, ~is_parametric].all() and close[:, is_parametric].mean() > 0.98


def test_the_grid_has_all_six_bands(made):
    _, found = in_six_bands()
    means = np.stack([np.frombuffer(row, "<f4") for row in made["grid_mean"]]).reshape(len(made), 6, N_GRID)
    np.testing.assert_allclose(means, found.grid_mean, rtol=1e-4, atol=1e-2)


def test_only_objects_with_a_host_have_an_absolute_magnitude(made):
    photo_z = pd.read_parquet(SAMPLE / "metadata.parquet").set_index("object_id")["hostgal_photoz"]
    has_host = np.array([photo_z[int(one)] > 0.0 for one in made.index])
    assert 0 < has_host.sum() < len(made)
    np.testing.assert_array_equal(made["host_photo_z"].notna(), has_host)
    assert made.loc[~has_host, "peak_absolute_magnitude_r"].isna().all()
    bright = made.loc[has_host, "peak_absolute_magnitude_r"].dropna()
    assert len(bright) > 10 and bright.between(-27.0, -8.0).all()


def test_two_band_features_are_not_written(warehouse):
    assert warehouse.read(FEATURES, survey="plasticc").isEmpty()


def test_a_benchmark_says_what_is_missing_and_takes_its_name_after_set(tmp_path, capsys):
    flags = [word for value in (*places(tmp_path), *SMALL_SESSION) for word in ("--set", value)]
    command = ["--set", "spcc-biased", "--data", str(tmp_path), "--out", str(tmp_path / "out"), *flags]
    assert benchmark.main(command) == 66
    assert "benchmark: " in capsys.readouterr().err and not (tmp_path / "out").exists()
