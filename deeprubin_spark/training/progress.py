"""How far a training run is, told by the process that waits for it: the ranks' checkpoints say it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deeprubin_spark.training.checkpoints import Checkpoints
from deeprubin_spark.training.loop import Plan

_EVERY = 1.0  # [s]


@contextmanager
def told(checkpoints: Checkpoints, plan: Plan) -> Iterator[None]:
    """On standard error, as epochs end: on a terminal one moving line with rate and time left, in a log a line every tenth of the run."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(checkpoints, plan, checkpoints.epochs_done(), ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def line(losses: tuple[float, ...], plan: Plan, seconds: float, epochs: int) -> str:
    """`epochs` epochs took `seconds`; the last of `losses` is of the epoch that ended."""
    each = seconds / max(epochs, 1)
    left = round(each * (plan.epochs - len(losses)))
    rate = plan.n_rows / max(each, 1e-9)
    return f"  epoch {len(losses)} of {plan.epochs}  loss {losses[-1]:.4f}  {rate:,.0f} light curves/s  {left // 60}:{left % 60:02d} left"


def _watch(checkpoints: Checkpoints, plan: Plan, before: int, ended: threading.Event) -> None:
    """Before : epochs done by an earlier run"""
    moves = sys.stderr.isatty()
    begin, last = time.monotonic(), before
    while not ended.wait(_EVERY):
        losses = checkpoints.losses()
        tenths = [n * 10 // plan.epochs for n in (last, len(losses))]
        if len(losses) <= last or not (moves or tenths[1] > tenths[0]):
            continue
        last = len(losses)
        text = line(losses, plan, time.monotonic() - begin, last - before)
        sys.stderr.write(f"\r{text}" if moves else f"{text}\n")
        sys.stderr.flush()
    if moves:
        sys.stderr.write("\n")
