"""infra/cluster.sh starts a real standalone cluster, and stops all of it."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.standalone import cluster

COUNT = """
import json, os, sys
from deeprubin_spark import spark
from deeprubin_spark.settings import SparkSettings

with spark.session(SparkSettings(master=sys.argv[1], driver_memory="1g", conf={"spark.executor.memory": "1g"}), "cluster") as session:
    rows = session.range(1000).repartition(4).mapInPandas(
        lambda frames: (frame.assign(pid=os.getpid()) for frame in frames), "id long, pid long")
    print(json.dumps({"rows": rows.count(), "executors": rows.select("pid").distinct().count(), "driver": session.sparkContext.master}))
"""


def daemons(directory: Path) -> list[int]:
    """Process ids of the cluster's Java processes."""
    return [int(pid) for pid in (directory / "pids").read_text().split()]


@pytest.mark.cluster
def test_a_job_runs_on_both_workers_and_nothing_is_left_after_stop(tmp_path: Path) -> None:
    started = cluster("start", tmp_path)
    try:
        assert started.returncode == 0, started.stderr
        master = started.stdout.strip()
        assert master.startswith("spark://127.0.0.1:")
        pids = daemons(tmp_path)
        assert len(pids) == 3
        assert "stop first" in cluster("start", tmp_path).stderr
        answer = subprocess.run([sys.executable, "-c", COUNT, master], capture_output=True, text=True, check=False, timeout=300)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout.splitlines()[-1]) == {"rows": 1000, "executors": 2, "driver": master}
    finally:
        cluster("stop", tmp_path)
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=30)
    assert not alive


@pytest.mark.cluster
def test_a_cluster_whose_workers_never_come_is_an_error_that_leaves_nothing_running(tmp_path: Path) -> None:
    # a worker with less memory than Spark's minimum refuses to start
    failed = cluster("start", tmp_path, CLUSTER_MEMORY="0m", CLUSTER_TIMEOUT="25")
    assert failed.returncode == 1
    assert "2 workers not there after 25 s" in failed.stderr
    assert not (tmp_path / "pids").exists()
    assert not [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(process.info["cmdline"] or [])]
