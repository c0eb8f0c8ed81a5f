"""Every way to be refused: one clear line and the exit code that tells a scheduler what to do."""

from __future__ import annotations

import shutil

import pytest
from deeprubin_spark.jobs import build_lightcurves, extract_features, fold_lightcurves, ingest_archive, nightly, report_night, score_night

from tests.conftest import ZTF_ARCHIVE
from tests.e2e import nights

JOBS = (build_lightcurves, extract_features, fold_lightcurves, ingest_archive, nightly, report_night, score_night)
NIGHT = ("--night", "2018-11-01")


def told(capfd) -> str:
    """The last line on standard error."""
    return capfd.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.__name__.rpartition(".")[2])
@pytest.mark.parametrize("night", ["yesterday", "2018-02-30", "20181129", "2018-11-29T00:00"])
def test_what_is_not_a_date_is_wrong_usage(job, night, capfd):
    assert job.main(["--night", night]) == 2
    assert night in told(capfd)


@pytest.mark.parametrize("span", ["2018-11-29", "2018-11-30:2018-11-29", "2018-11-29:", "1900-01-01:2018-11-29"])
def test_a_range_has_two_dates_the_first_one_first(span, capfd):
    assert nightly.main(["--nights", span]) == 2
    assert span in told(capfd)


def test_no_night_at_all_is_wrong_usage(capfd):
    assert score_night.main([]) == 2
    assert "--night" in told(capfd)


def test_a_missing_archive_is_no_input(spark, tmp_path, capfd):
    assert nightly.main([*NIGHT, *nights.flags(tmp_path, "ingest.archive=[/nowhere/ztf_public_20181101.tar.gz]")]) == 66
    assert "/nowhere/ztf_public_20181101.tar.gz" in told(capfd)


def test_an_archive_without_that_night_is_no_input(spark, tmp_path, capfd):
    assert nightly.main(["--night", "2018-11-02", *nights.flags(tmp_path)]) == 66
    assert "2018-11-02" in told(capfd)


def test_an_archive_whose_name_contradicts_its_packets_fails_the_gate(spark, tmp_path, capfd):
    wrong = tmp_path / "ztf_public_20181102.tar.gz"
    shutil.copyfile(ZTF_ARCHIVE / "ztf_public_20181101.tar.gz", wrong)
    assert nightly.main(["--night", "2018-11-02", *nights.flags(tmp_path, f"ingest.archive=[{wrong}]")]) == 65
    assert "ztf_public_20181102.tar.gz" in told(capfd)


@pytest.mark.parametrize("setting", ["scoring.model=of-another-age", "scoring.models_path=/nowhere"])
def test_a_missing_model_is_told_by_name(spark, tmp_path, capfd, setting):
    assert score_night.main([*NIGHT, *nights.flags(tmp_path, setting)]) == 69
    assert setting.partition("=")[2] in told(capfd)


def test_a_wrong_setting_is_told_by_name(capfd):
    assert nightly.main([*NIGHT, "--set", "scoring.colour=red"]) == 78
    assert "scoring.colour" in told(capfd)


def test_a_warehouse_that_cannot_be_written_is_told(spark, tmp_path, capfd):
    (tmp_path / "warehouse").write_text("a file is in the way")
    assert nightly.main([*NIGHT, *nights.flags(tmp_path)]) == 78
    assert "warehouse.path" in told(capfd)


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(spark, tmp_path, capfd):
    assert ingest_archive.main([*NIGHT, *nights.flags(tmp_path), "--dry-run"]) == 0
    assert "ztf_public_20181101.tar.gz" in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "warehouse").iterdir()] == [".locks"]
