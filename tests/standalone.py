"""A real standalone cluster, master and two workers, from infra/cluster.sh."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "infra" / "cluster.sh"


def cluster(action: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """infra/cluster.sh start or stop, to its end."""
    environment = {**os.environ, "CLUSTER_DIR": str(directory), "PYSPARK_PYTHON": sys.executable, **variables}
    return subprocess.run([str(SCRIPT), action], env=environment, capture_output=True, text=True, check=False, timeout=300)


@contextmanager
def running(directory: Path) -> Iterator[str]:
    """The URL of the master of a cluster that runs during the block."""
    started = cluster("start", directory)
    try:
        assert started.returncode == 0, started.stderr
        yield started.stdout.strip()
    finally:
        cluster("stop", directory)
