"""Three small carried nights, and what is in the tables after they ran undisturbed."""

from __future__ import annotations

import pytest
from deeprubin_spark.jobs import nightly

from deeprubin_spark.tables import Warehouse
from tests.conftest import ZTF_ARCHIVE, settings_at
from tests.e2e import nights


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory):
    """Archives of 2019-06-19, 2019-06-23 and 2020-02-02: 21 packets."""
    return nights.archive_of(tmp_path_factory.mktemp("archive"), ZTF_ARCHIVE, "20190619", "20190623", "20200202")


@pytest.fixture(scope="session")
def undisturbed(spark, small_archive, tmp_path_factory):
    """Content of the tables after those nights in one run."""
    directory = tmp_path_factory.mktemp("undisturbed")
    assert nightly.main(["--nights", nights.SMALL_NIGHTS, *nights.flags(directory, f"ingest.archive=[{small_archive}]")]) == 0
    return nights.content(Warehouse(spark, settings_at(directory).warehouse), nights.EVERY)
