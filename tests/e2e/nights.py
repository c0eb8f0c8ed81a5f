"""What the end-to-end tests share: how to run a night as a user does, and what 'the same content' means."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pyspark.sql import functions as F

from deeprubin_spark.schemas import (
    ALERTS_ZTF,
    ANOMALIES,
    CATALOGUE_MATCHES,
    FEATURES,
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_RATE,
    HABITABILITY_RING,
    INTERSTELLAR_CANDIDATES,
    LIGHTCURVE_SEGMENTS,
    QUARANTINE,
    SCORES,
    TECHNOSIGNATURE_CANDIDATES,
    TRACKLETS,
)
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.tables import Warehouse
from tests.conftest import SMALL_SESSION, places

OF_THE_NIGHT = (ALERTS_ZTF, QUARANTINE, LIGHTCURVE_SEGMENTS, FEATURES, SCORES, ANOMALIES)
OF_THE_SEARCHES = (
    *(HABITABILITY_EVENT, HABITABILITY_HEALPIX, HABITABILITY_RATE, HABITABILITY_RING),
    *(TECHNOSIGNATURE_CANDIDATES, CATALOGUE_MATCHES, TRACKLETS, INTERSTELLAR_CANDIDATES),
)
EVERY = (*OF_THE_NIGHT, *OF_THE_SEARCHES)

SMALL_NIGHTS = "2019-06-19:2020-02-02"  # of the archive that conftest.py makes


def flags(directory: Path, *overrides: str) -> list[str]:
    """Command-line flags that put everything into `directory`."""
    values = [*places(directory), *SMALL_SESSION, *overrides]
    return [word for value in values for word in ("--set", value)]


def start(job: str, *arguments: str, stderr=subprocess.PIPE) -> subprocess.Popen:
    """The job in a process group of its own, as spark-submit or a scheduler would run it."""
    command = [sys.executable, "-m", f"deeprubin_spark.jobs.{job}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, text=True, start_new_session=True, env=environment())


def run(job: str, *arguments: str) -> subprocess.CompletedProcess:
    """The job, to its end."""
    command = [sys.executable, "-m", f"deeprubin_spark.jobs.{job}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def environment() -> dict[str, str]:
    """The tests' environment without settings that a developer may have exported."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DEEPRUBIN_") or name == "DEEPRUBIN_JARS"}


def content(warehouse: Warehouse, tables: Iterable[Table]) -> dict[str, tuple[int, str]]:
    """For each of the tables: how many rows, and a hash of all of them whatever their order."""
    found = {}
    for table in tables:
        rows = warehouse.read(table).select(F.to_json(F.struct(*table.names), {"ignoreNullFields": "false"}).alias("row"))
        texts = sorted(row["row"] for row in rows.collect())
        found[table.name] = (len(texts), hashlib.sha256("\n".join(texts).encode()).hexdigest())
    return found


def archive_of(directory: Path, carried: Path, *nights: str) -> Path:
    """A new archive directory with the carried archives of some nights (YYYYMMDD)."""
    directory.mkdir(parents=True, exist_ok=True)
    for night in nights:
        name = f"ztf_public_{night}.tar.gz"
        shutil.copyfile(carried / name, directory / name)
    return directory
