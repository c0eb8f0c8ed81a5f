"""What each stage costs, in core-microseconds, beside its peer in the same run.

    python -m tests.perf.bench [--only NAME ...] [--data PATH] [--write-baseline]

Prints a row as soon as it is measured, with what it cost when the baseline was written, and exits 1 where a bar is not reached.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from tests.perf import decoding, features, gaussian_process, history, models, parametric, period, searches
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

BASELINE = Path(__file__).with_name("baseline.json")
STAGES: dict[str, tuple[Row, ...]] = {
    "alerts": decoding.ROWS,
    "history": history.ROWS,
    "Gaussian process": gaussian_process.ROWS,
    "features": features.ROWS,
    "parametric models": parametric.ROWS,
    "period": period.ROWS,
    "network and forest": models.ROWS,
    "searches": searches.ROWS,
}
ROWS: tuple[Row, ...] = tuple(row for rows in STAGES.values() for row in rows)
_HEADER = f"{'row':24}{'core-us':>10}{'bar':>8}{'before':>10}{'peer':>12}{'ratio':>9}{'bar':>7}  accuracy"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    arguments = _arguments(argv)
    rows = [row for row in ROWS if not arguments.only or row.name in arguments.only]
    torch.set_num_threads(1)  # one thread of our code is compared with one of the peer's
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"rows": {}}
    measured: dict[str, Measured] = {}
    failures: list[str] = []
    print(_HEADER, flush=True)
    with _workplace(arguments.data) as place, threadpool_limits(1):
        for row in rows:
            if row.needs_data and arguments.data is None:
                print(f"{row.name:24}  not run: no data", flush=True)
                continue
            try:
                measured[row.name] = row.measure(place)
            except Exception as error:  # the other rows still tell something
                traceback.print_exc()
                failures.append(f"{row.name}: not measured: {type(error).__name__}: {error}")
                continue
            print(_line(row, measured[row.name], baseline["rows"].get(row.name)), flush=True)
            failures += row.failures(measured[row.name])
    for failure in failures:
        print(f"failed: {failure}", flush=True)
    if arguments.write_baseline:
        _write(baseline, measured)
    print(f"{len(measured)} rows, {len(failures)} failures", flush=True)
    return 1 if failures else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=[row.name for row in ROWS], help="these rows: " + ", ".join(r.name for r in ROWS)
    )
    parser.add_argument("--data", type=Path, metavar="PATH", help=f"folder with {period.STARS} and {period.PERIODS}")
    parser.add_argument(
        "--write-baseline", action="store_true", help="keep what was measured in baseline.json, beside the rows that were not run"
    )
    arguments = parser.parse_args(argv)
    if arguments.data is not None and not (arguments.data / period.STARS).is_file():
        parser.error(f"--data {arguments.data}: expected {period.STARS} there")
    return arguments


@contextlib.contextmanager
def _workplace(data: Path | None) -> Iterator[Workplace]:
    with tempfile.TemporaryDirectory(prefix="deeprubin-bench-") as folder:
        place = Workplace(Path(folder), data)
        try:
            yield place
        finally:
            place.close()


def _line(row: Row, found: Measured, before: dict[str, Any] | None) -> str:
    bar = f"<= {row.most_core_us:g}" if row.most_core_us is not None else ""
    change = f"{found.core_us / before['core_us'] - 1.0:+.0%}" if before else ""
    peer = "" if found.peer_core_us is None else f"{found.peer_core_us:,.1f}"
    ratio = "" if found.ratio is None else f"{found.ratio:,.1f} x"
    least = f">= {row.least_ratio:g}" if row.least_ratio is not None else ""
    accuracy = ", ".join(f"{name} {value:.3g}" for name, value in found.accuracy.items())
    return f"{row.name:24}{found.core_us:>10,.1f}{bar:>8}{change:>10}{peer:>12}{ratio:>9}{least:>7}  {accuracy}"


def _write(baseline: dict[str, Any], measured: dict[str, Measured]) -> None:
    """Rows that were not run keep their numbers, and when and where those were measured."""
    told = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine()}
    rows = baseline["rows"] | {name: told | found.as_dict() for name, found in measured.items()}
    BASELINE.write_text(json.dumps({"rows": {row.name: rows[row.name] for row in ROWS if row.name in rows}}, indent=1) + "\n")


def machine() -> str:
    """This machine in words: processor, cores, Python."""
    named = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    flags = next((line.split() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("flags")), [])
    vectors = " AVX-512" if "avx512f" in flags else ""
    return f"{named[0] if named else platform.machine()}{vectors}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


if __name__ == "__main__":
    sys.exit(main())
