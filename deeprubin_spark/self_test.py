"""Which parts of the stack work on this machine: each is really used, none is only imported.

`deeprubin self-test` prints the table. What is not installed is said to be so and is no failure: the night needs neither Petastorm nor
Horovod, Databricks brings its own Spark. Petastorm and Horovod are tried in processes of their own, for what makes them work must not
enter this one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import pandas_udf

from deeprubin_spark import spark
from deeprubin_spark.errors import ConfigError, DeepRubinError
from deeprubin_spark.settings import SparkSettings

_OLDEST_JAVA = 17
_PROBE_TIMEOUT_S = 300


@dataclass(frozen=True)
class Finding:
    """What was found of one component."""

    component: str
    version: str
    works: bool | None  # None: not installed
    detail: str

    def __str__(self) -> str:
        """The component's line in the table."""
        verdict = {True: "works", False: "FAILS", None: "absent"}[self.works]
        return f"{self.component:<12} {self.version or '-':<12} {verdict:<7} {self.detail}"


class NotWorking(DeepRubinError):
    """A probe ran and what came back is wrong."""


def main(settings: SparkSettings | None = None) -> int:
    """Print each finding as it comes; returns the exit code. settings: of the session to try, default those of this machine."""
    findings = []
    for finding in examine(settings or SparkSettings()):
        print(finding, flush=True)
        findings.append(finding)
    return exit_code(findings)


def run(settings: SparkSettings) -> list[Finding]:
    """Try every component; takes about a minute. Raises nothing: what goes wrong is in the findings."""
    return list(examine(settings))


def examine(settings: SparkSettings) -> Iterator[Finding]:
    """One finding after the other, the quick ones first."""
    yield _java()
    yield _try("numba", _numba)
    yield _try("torch", _torch_forward)
    yield _try("alerce", _alerce)
    yield from _spark(settings)
    yield _try("petastorm", _petastorm)
    yield _try("horovod", _horovod)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 if all that is installed works, else the code of a wrong configuration."""
    return ConfigError.exit_code if any(finding.works is False for finding in findings) else 0


def _try(distribution: str, probe: Callable[[], str]) -> Finding:
    """Use a component if it is installed; `probe` returns what to say of it."""
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Finding(distribution, "", None, "not installed")
    started = time.monotonic()
    try:
        detail = probe()
    except Exception as error:  # whatever a broken installation raises is the finding
        return Finding(distribution, version, False, " ".join(f"{type(error).__name__}: {error}".split())[:300])
    return Finding(distribution, version, True, f"{detail}, {time.monotonic() - started:.1f} s")


def _java() -> Finding:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("java", "", False, f"{java}: {error}; apt-get install -y openjdk-17-jdk-headless, or set JAVA_HOME")
    found = re.search(r'version "(\d+)([^"]*)"', answer.stderr)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        return Finding("java", "", False, f"{java}: expected {_OLDEST_JAVA} or later, found {answer.stderr.strip()[:80]!r}")
    return Finding("java", found[1] + found[2], True, home or "on PATH")


def _spark(settings: SparkSettings) -> Iterator[Finding]:
    """The session, then what needs one."""
    opened: list[SparkSession] = []
    with tempfile.TemporaryDirectory(prefix="deeprubin-self-test-") as directory, contextlib.ExitStack() as stack:

        def open_session() -> str:
            opened.append(stack.enter_context(spark.session(settings, "self-test")))
            _expect(opened[0].range(10).selectExpr("sum(id) AS total").first(), (45,))
            return f"a session on {opened[0].sparkContext.master}"

        yield _try("pyspark", open_session)
        if opened:
            yield _try("delta-spark", lambda: _delta(opened[0], f"{directory}/table"))
            yield _try("pyarrow", lambda: _pandas_udf(opened[0]))


def _delta(session: SparkSession, path: str) -> str:
    session.range(3).write.format("delta").save(path)
    session.range(4).write.format("delta").mode("overwrite").save(path)
    rows = [session.read.format("delta").option("versionAsOf", version).load(path).count() for version in (0, 1)]
    _expect(rows, [3, 4])
    return "written twice, both versions read"


def _pandas_udf(session: SparkSession) -> str:
    def twice(values: pd.Series) -> pd.Series:
        return values * 2

    as_udf: Any = pandas_udf  # its overloads want pandas' generic Series, which exist only in the stubs
    doubled = session.range(5).select(as_udf(twice, "long")("id").alias("twice")).selectExpr("sum(twice) AS total")
    _expect(doubled.first(), (20,))
    return "pandas UDF"


def _numba() -> str:
    import numba

    add = numba.njit(lambda values: values.sum())
    _expect(float(add(np.ones(4))), 4.0)
    return "compiled a function"


def _torch_forward() -> str:
    # In a process of its own: this layer does not import torch, which also would cost a session 2 s and 300 MB.
    return _in_process("-c", "import torch; assert torch.nn.Linear(3, 2)(torch.ones(1, 3)).shape == (1, 2); print('forward pass')")


def _alerce() -> str:
    client = importlib.import_module("alerce.core").Alerce()
    _expect(hasattr(client, "query_objects"), True)
    return "client made, no request sent"


def _petastorm() -> str:
    with tempfile.TemporaryDirectory(prefix="deeprubin-self-test-") as directory:
        file = Path(directory) / "rows.parquet"
        pq.write_table(pa.table({"row": list(range(20))}), file, row_group_size=5)
        return _in_process("-m", "deeprubin_spark.training.probe", "petastorm", file.as_uri())


def _horovod() -> str:
    return _in_process("-m", "deeprubin_spark.training.probe", "horovod")


def _in_process(*arguments: str) -> str:
    """Run this Python with `arguments`; returns the last line it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_import_path()), "PYSPARK_PYTHON": sys.executable}
    answer = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=_PROBE_TIMEOUT_S, env=environment
    )
    lines = answer.stdout.strip().splitlines()
    if answer.returncode != 0 or not lines:
        said = (answer.stderr.strip() or "no output").splitlines()[-1]
        raise NotWorking(f"exit {answer.returncode}: {said}")
    return lines[-1]


def _import_path() -> Iterator[str]:
    yield str(Path(__file__).resolve().parent.parent)
    if os.environ.get("PYTHONPATH"):
        yield os.environ["PYTHONPATH"]


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise NotWorking(f"expected {expected}, found {found}")
