"""The notebooks run, top to bottom, on a warehouse of the carried nights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from deeprubin_spark.jobs import nightly

from tests.conftest import INTERPRETED, QUICK_START, ZTF_ARCHIVE
from tests.e2e import nights

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    directory = tmp_path_factory.mktemp("notebooks")
    archive = nights.archive_of(directory / "archive", ZTF_ARCHIVE, "20181129", "20190619", "20190702", "20190720")
    flags = nights.flags(directory, f"ingest.archive=[{archive}]", "report.n_anomalies=1")
    assert nightly.main(["--nights", "2018-11-29:2019-07-20", *flags]) == 0
    return directory / "warehouse"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, warehouse, tmp_path):
    copy = tmp_path / notebook.name
    copy.write_bytes(notebook.read_bytes())
    session = {"DEEPRUBIN_SPARK__MASTER": "local[2]", "DEEPRUBIN_SPARK__SHUFFLE_PARTITIONS": "2", "DEEPRUBIN_SPARK__JAVA_OPTIONS": QUICK_START}
    session |= {"DEEPRUBIN_SPARK__CONF": INTERPRETED.partition("=")[2]}
    environment = nights.environment() | session | {"DEEPRUBIN_WAREHOUSE__PATH": str(warehouse)}
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_no_output(notebook):
    assert '"outputs": []' in notebook.read_text()
    assert '"output_type"' not in notebook.read_text()
