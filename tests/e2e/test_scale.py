"""Ten times the night: the same memory. The copies are the carried packets with new ids, re-encoded with their own schema."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import threading
import time

import fastavro
import psutil
import pytest

from deeprubin_spark.schemas import SCORES
from deeprubin_spark.tables import Warehouse
from tests.conftest import INTERPRETED, ZTF_ARCHIVE, settings_at
from tests.e2e import nights

NIGHT = "2018-11-29"
NAME = "ztf_public_20181129.tar.gz"
COPIES = 10


@pytest.fixture(scope="module")
def tenfold(tmp_path_factory):
    """An archive with each packet of the carried night ten times, as other objects."""
    directory = tmp_path_factory.mktemp("tenfold")
    with tarfile.open(ZTF_ARCHIVE / NAME) as carried, tarfile.open(directory / NAME, "w:gz", compresslevel=1) as made:
        for member in carried:
            reader = fastavro.reader(carried.extractfile(member))
            packet, schema = next(reader), reader.writer_schema
            for copy in range(COPIES):
                content = renamed(packet, schema, copy)
                info = tarfile.TarInfo(f"{candid_of(packet, copy)}.avro")
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    return directory


def candid_of(packet: dict, copy: int) -> int:
    """An id of its own for each copy: ids of neighbouring alerts differ by one, so the copy needs a digit of its own."""
    return packet["candid"] * COPIES + copy


def renamed(packet: dict, schema: dict, copy: int) -> bytes:
    """The packet as another object's: new candid and objectId, everything else as it was."""
    ids = {"candid": candid_of(packet, copy), "objectId": f"{packet['objectId']}x{copy}"}
    changed = packet | ids | {"candidate": packet["candidate"] | {"candid": ids["candid"]}}
    out = io.BytesIO()
    fastavro.writer(out, schema, [changed])
    return out.getvalue()


def peak_worker_memory(archive, directory) -> int:
    """[byte] Highest resident memory of any Python worker while the night runs in a driver with 1 GiB of heap."""
    flags = nights.flags(directory, f"ingest.archive=[{archive}]", "spark.driver_memory=1g", "report.n_anomalies=3", INTERPRETED)
    process = nights.start("nightly", "--night", NIGHT, *flags)
    peak = [0]
    watcher = threading.Thread(target=watch, args=(process, peak), daemon=True)
    watcher.start()
    try:
        _, errors = process.communicate(timeout=550)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    watcher.join()
    assert process.returncode == 0, errors
    return peak[0]


def watch(process, peak: list[int]) -> None:
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True) if psutil.pid_exists(process.pid) else []:
            try:
                if "pyspark.daemon" in " ".join(child.cmdline()):
                    peak[0] = max(peak[0], child.memory_info().rss)
            except psutil.Error:  # it ended while we looked
                continue
        time.sleep(0.1)


def test_ten_times_the_night_needs_no_more_memory(spark, tenfold, tmp_path):
    once = peak_worker_memory(ZTF_ARCHIVE, tmp_path / "once")
    ten = peak_worker_memory(tenfold, tmp_path / "ten")
    rows = Warehouse(spark, settings_at(tmp_path / "ten").warehouse).read(SCORES)
    assert rows.count() == COPIES * 370
    assert ten < 1.2 * once, f"{once / 2**20:.0f} MiB for one night, {ten / 2**20:.0f} MiB for ten times as much"
