"""CPU time of a process and everything it starts, what has ended meanwhile included."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

_EVERY = 2.0  # [s] between two looks


class TreeClock:
    """CPU time, user and system, of a process and its descendants.

    PySpark's daemon ignores its workers' deaths, so the kernel adds the time of those, which go after an idle minute, to nobody's. The clock therefore
    keeps the last time of every process it has seen; look often enough (`ticking`) that none works unseen for long.
    """

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._seconds: dict[tuple[int, float], float] = {}
        self._lock = threading.Lock()

    def look(self) -> float:
        """[s] so far; never less than before."""
        with self._lock:
            for process in self._processes():
                try:
                    spent = process.cpu_times()
                    self._seconds[process.pid, process.create_time()] = spent.user + spent.system
                except psutil.NoSuchProcess:  # it ended between the listing and the question: its time is that of the last look
                    continue
            return sum(self._seconds.values())

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Look every few seconds during the block."""
        done = threading.Event()

        def tick() -> None:
            while not done.wait(_EVERY):
                self.look()

        thread = threading.Thread(target=tick, name="cpu time", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _processes(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def of_this_job() -> TreeClock:
    """The clock of this process, its JVM and its Python workers. On a cluster the executors are not among them."""
    me = psutil.Process()
    parent = me.parent()
    return TreeClock(parent if parent and parent.name() == "java" else me)  # under spark-submit the JVM starts the driver
