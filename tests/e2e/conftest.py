"""Three small carried nights, and what is in the tables after they ran undisturbed."""

from __future__ import annotations

import json

import pytest
from deeprubin_spark.jobs import nightly
from filelock import FileLock

from deeprubin_spark.tables import Warehouse
from tests.conftest import ZTF_ARCHIVE, settings_at
from tests.e2e import nights


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory):
    """Archives of 2019-06-19, 2019-06-23 and 2020-02-02: 21 packets."""
    return nights.archive_of(tmp_path_factory.mktemp("archive"), ZTF_ARCHIVE, "20190619", "20190623", "20200202")


@pytest.fixture(scope="session")
def undisturbed(spark, small_archive, tmp_path_factory, worker_id):
    """Content of the tables after those nights in one run, which the first process that asks for it makes for all."""
    base = tmp_path_factory.getbasetemp()
    known = (base if worker_id == "master" else base.parent) / "undisturbed.json"
    with FileLock(f"{known}.lock"):
        if not known.exists():
            directory = tmp_path_factory.mktemp("undisturbed")
            assert nightly.main(["--nights", nights.SMALL_NIGHTS, *nights.flags(directory, f"ingest.archive=[{small_archive}]")]) == 0
            known.write_text(json.dumps(nights.content(Warehouse(spark, settings_at(directory).warehouse), nights.EVERY)))
    return {table: tuple(found) for table, found in json.loads(known.read_text()).items()}
