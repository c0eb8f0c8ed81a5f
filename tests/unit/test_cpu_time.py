"""CPU time of a tree of processes: nothing that worked in it is forgotten, however it ended."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from deeprubin_spark import cpu_time

BURN = "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end: pass\n"
# As PySpark's daemon: its children's deaths, and what they used, are nobody's business.
DAEMON = f"""
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    exec({BURN!r})
    os._exit(0)
time.sleep(60)
"""


@pytest.fixture
def daemon():
    with subprocess.Popen([sys.executable, "-c", DAEMON]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def wait_for_its_child(daemon):
    deadline = time.monotonic() + 30.0
    while not daemon.children() and time.monotonic() < deadline:
        time.sleep(0.01)
    while daemon.children() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_time_of_a_child_that_nobody_waited_for_is_kept(daemon, monkeypatch):
    monkeypatch.setattr(cpu_time, "_EVERY", 0.05)
    clock = cpu_time.TreeClock(daemon)
    with clock.ticking():
        wait_for_its_child(daemon)
    times = daemon.cpu_times()
    assert times.children_user + times.children_system < 0.1, "else the kernel had kept it, and there were nothing to test"
    assert clock.look() > 0.5


def test_the_time_of_a_child_that_was_waited_for_counts_once_seen_or_not():
    clock = cpu_time.of_this_job()
    for looks in (1, 8):
        before = clock.look()
        with subprocess.Popen([sys.executable, "-c", BURN]) as child:
            for _ in range(looks - 1):
                time.sleep(0.1)
                clock.look()
        assert child.returncode == 0
        assert 0.5 < clock.look() - before < 1.3


def test_a_clock_never_goes_back(daemon, monkeypatch):
    clock = cpu_time.TreeClock(daemon)
    looks = [clock.look() for _ in range(20) if not time.sleep(0.1)]
    assert looks == sorted(looks)
    daemon.kill()
    daemon.wait()
    assert clock.look() >= looks[-1]


def test_the_clock_of_this_job_is_of_this_process():
    clock = cpu_time.of_this_job()
    before = clock.look()
    exec(BURN)
    assert clock.look() - before > 0.5
