"""Petastorm on current pyarrow: every row once in every epoch. Each test runs in a process of its own, which the shim changes for good."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deeprubin_spark.errors import ConfigError
from deeprubin_spark.training.petastorm_compat import check_versions

pytestmark = pytest.mark.training
FILES, GROUPS, ROWS = 3, 4, 5  # files, row groups in each, rows in each of those


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """URLs of files with the columns row (0, 1, ...), name and a list of three numbers."""
    folder = tmp_path_factory.mktemp("training set")
    per_file = GROUPS * ROWS
    for number in range(FILES):
        rows = range(number * per_file, (number + 1) * per_file)
        values = pa.array([[row, row + 0.25, row + 0.5] for row in rows], type=pa.list_(pa.float32()))
        table = pa.table({"row": list(rows), "name": [f"ZTF{row}" for row in rows], "values": values})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=ROWS)
    return [file.as_uri() for file in sorted(folder.glob("*.parquet"))]


def run(code: str) -> subprocess.CompletedProcess[str]:
    preamble = "import numpy as np\nfrom deeprubin_spark.training.petastorm_compat import install, read_epoch\n"
    return subprocess.run([sys.executable, "-c", preamble + code], capture_output=True, text=True, check=False, timeout=300)


def test_two_shards_hold_each_row_once_in_every_epoch_and_keep_their_rows(files: list[str]) -> None:
    answer = run(f"""
shares = [[{{int(row) for batch in read_epoch({files}, ["row"], rows=30, epoch=epoch, rank=rank, ranks=2) for row in batch["row"]}}
           for rank in range(2)] for epoch in range(3)]
assert all(first | second == set(range(60)) and len(first) == len(second) == 30 for first, second in shares)
assert shares[0] == shares[1] == shares[2]
print("done", end="")
""")
    assert (answer.returncode, answer.stdout) == (0, "done"), answer.stderr


def test_the_order_changes_with_the_epoch_and_not_with_the_run(files: list[str]) -> None:
    code = f"""
import json
epochs = [read_epoch({files}, ["row"], rows=60, epoch=epoch) for epoch in range(3)]
print(json.dumps([[int(row) for batch in epoch for row in batch["row"]] for epoch in epochs]))
"""
    first, second = run(code), run(code)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    epochs = json.loads(first.stdout)
    assert epochs[0] != epochs[1] != epochs[2] != list(range(60))


def test_lists_come_as_matrices_beside_their_own_row(files: list[str]) -> None:
    answer = run(f"""
for batch in read_epoch({files}, ["row", "name", "values"], rows=60, epoch=0):
    assert batch["values"].shape == ({ROWS}, 3) and batch["values"].dtype == np.float32
    assert (batch["values"] == batch["row"][:, None] + np.array([0, 0.25, 0.5])).all()
    assert list(batch["name"]) == [f"ZTF{{row}}" for row in batch["row"]]
""")
    assert answer.returncode == 0, answer.stderr


def test_no_epoch_is_lost_when_the_ventilator_finishes_between_the_pools_two_questions() -> None:
    """The race itself, played slowly: unmended, the pool says "no more results" while a row group is on its way."""
    answer = run("""
install()
from petastorm.workers_pool.thread_pool import ThreadPool

class LateVentilator:
    completed_after = False
    def completed(self):                       # the ventilator hands out its only row group while it is being asked
        if not pool._ventilated_items:
            pool._ventilated_items += 1
            pool._ventilated_items_by_worker[0] += 1
        return True

pool = ThreadPool(1)
pool._results_queues = [__import__("queue").Queue()]
pool._ventilator = LateVentilator()
assert not pool.all_workers_done()
""")
    assert answer.returncode == 0, answer.stderr


def test_a_missing_row_is_an_error_and_not_a_shorter_epoch(files: list[str]) -> None:
    answer = run(f"""for batch in read_epoch({files}, ["row"], rows=61, epoch=0): pass""")
    assert "DataGateError: epoch 0, rank 0 of 1: expected 61 rows" in answer.stderr
    assert "read 60" in answer.stderr


def test_pyarrow_itself_is_left_as_it_is() -> None:
    answer = run("""
import pyarrow.parquet as pq
before = pq.ParquetDataset
install(); install()
assert pq.ParquetDataset is before
""")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("found", ["25.0.1", "27.0.0", "2.6.0"])
def test_an_untested_version_is_refused(found: str) -> None:
    with pytest.raises(ConfigError, match=f"pyarrow: expected 26.0.*found {found}.*make setup-train"):
        check_versions({"pyarrow": "26.0"}, lambda _: found)


def test_a_build_of_a_tested_version_is_accepted() -> None:
    check_versions({"torch": "2.12", "pyarrow": "26.0"}, lambda name: {"torch": "2.12.1+cpu", "pyarrow": "26.0.1"}[name])


def test_what_is_not_installed_is_refused() -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    with pytest.raises(ConfigError, match="horovod: expected 0.28.1.*found nothing"):
        check_versions({"horovod": "0.28.1"}, nothing)


def test_a_folder_is_refused_because_it_may_hold_files_no_longer_in_the_table(files: list[str]) -> None:
    folder = files[0].rsplit("/", 1)[0]
    answer = run(f"""for batch in read_epoch([{folder!r}], ["row"], rows=60, epoch=0): pass""")
    assert "IsADirectoryError" in answer.stderr
