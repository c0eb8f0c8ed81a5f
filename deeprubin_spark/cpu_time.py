"""CPU time of a process and everything it starts, what has ended meanwhile included."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_EVERY = 10.0  # [s] between two looks: workers that go have been idle for a minute


class TreeClock:
    """CPU time, user and system, of a process and its descendants.

    Of a process that ended the kernel gives the time to the parent that waited for it. PySpark's daemon waits for none of its workers, which go after
    an idle minute: what they had at the last look and no parent was given, the clock keeps. Look often enough (`ticking`) that none works unseen.
    """

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._last: dict[tuple[int, float], tuple[float, float]] = {}  # own time of each process, and that of children it waited for
        self._lost = 0.0
        self._lock = threading.Lock()

    def look(self) -> float:
        """[s] so far; never less than before."""
        with self._lock:
            now = self._times()
            gone = sum(sum(times) for key, times in self._last.items() if key not in now)
            given = sum(now[key][1] - children for key, (_, children) in self._last.items() if key in now)
            self._lost += max(0.0, gone - given)
            self._last = now
            return self._lost + sum(sum(times) for times in now.values())

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

    def _times(self) -> dict[tuple[int, float], tuple[float, float]]:
        found = {}
        try:
            for process in [self._root, *self._root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):  # it ended between the listing and the question
                    spent = process.cpu_times()
                    found[process.pid, process.create_time()] = spent.user + spent.system, spent.children_user + spent.children_system
        except psutil.NoSuchProcess:  # the root has ended
            return {}
        return found


def of_this_job() -> TreeClock:
    """The clock of this process, its JVM and its Python workers. On a cluster the executors are not among them."""
    me = psutil.Process()
    parent = me.parent()
    return TreeClock(parent if parent and parent.name() == "java" else me)  # under spark-submit the JVM starts the driver
