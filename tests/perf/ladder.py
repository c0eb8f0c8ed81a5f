"""Whole nights of growing size on a replayed warehouse, each through all steps of `nightly`: what they cost, and whether their tables are right.

    python -m tests.perf.ladder --folder /data/ladder --known-objects 4000000 --alerts 100000 1000000
    python -m tests.perf.ladder --folder /data/ladder --known-objects 400000 --alerts 30000 100000 --form tar
    python -m tests.perf.ladder --folder /data/ladder --known-objects 1000000 --alerts 100000 --fold

The history is written once and kept in the folder; each night runs on a clone of it, which the next one removes. A night of a hundred alerts before
the others says, once a day, what is the same for every night: the JVM, imports, compiled code, the look for objects. Each
night's row goes to ladder.json (see report.py) as soon as its tables have been checked (ladder_check.py). With --fold the largest night is folded
into the base afterwards. Nothing else should run on the machine meanwhile; a fit of light curves that are always the same says how fast it is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from deeprubin_spark.jobs import nightly

from deeprubin_spark.cpu_time import TreeClock
from deeprubin_spark.ingestion.replay_files import FORMS
from deeprubin_spark.kernels.gaussian_process import fit
from deeprubin_spark.reporting.facts import SEARCH_ORDER
from deeprubin_spark.settings import load as load_settings
from tests.perf import ladder_check
from tests.perf.bench import machine
from tests.perf.clock import cheapest
from tests.perf.light_curves import repeated, standard_mix
from tests.perf.report import LADDER, recorded_nights

NIGHT = dt.date(2026, 11, 20)
FIXED = 100  # alerts of the night that says what every night costs
TEMPLATES = Path(__file__).parents[1] / "data" / "ztf" / "archive"
_STEPS = tuple(module.__name__.rpartition(".")[2] for module in nightly.steps("ztf", from_archive=True))
_LIGHT = "lightcurve_base"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    arguments = _arguments(argv)
    history = arguments.folder / f"history_{arguments.known_objects}"
    if not (history / "done").is_file():
        _new_history(history, arguments.known_objects)
    objects, points = _history_size(history)
    fixed = _fixed_of_today(arguments.form, objects)
    first = () if fixed else (FIXED, FIXED)  # the first one may have to compile what is kept from then on
    for alerts in (*first, *sorted(arguments.alerts)):
        found = _night(arguments, history, alerts)
        if alerts == FIXED:
            fixed = {"fixed_core_s": found["total_core_s"], "fixed_searches_core_s": found["searches_core_s"]}
        found |= {"known_objects_in_warehouse": objects, "history_points": points, **fixed}
        if arguments.fold and alerts == max(arguments.alerts):
            found["fold"] = _folded(arguments.folder / "clone")
        print(json.dumps(found), flush=True)
        if alerts != FIXED:
            _keep(found)
    shutil.rmtree(arguments.folder / "clone", ignore_errors=True)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.perf.ladder", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--folder", type=Path, required=True, metavar="PATH", help="where histories, nights and clones go; 6 kB a known object"
    )
    parser.add_argument(
        "--known-objects", type=int, required=True, metavar="N", help="objects in the warehouse before the night; 0 is none"
    )
    parser.add_argument("--alerts", type=int, nargs="+", required=True, metavar="N", help="sizes of the nights")
    parser.add_argument("--form", choices=FORMS, default="payloads", help="how the alerts come (default: payloads)")
    parser.add_argument("--fold", action="store_true", help="fold the largest night into the base, and measure that too")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="setting of the nights; may be repeated")
    return parser.parse_args(argv)


def _speed() -> float:
    """What the machine takes now for a fit of the Gaussian process, [core-us] each of the bench's light curves."""
    batch = repeated(standard_mix(100), 20)
    return round(cheapest(lambda: fit(batch), batch.n_objects), 2)


def _job(name: str, *flags: str, night: dt.date = NIGHT) -> list[str]:
    return [sys.executable, "-m", f"deeprubin_spark.jobs.{name}", "--env", "local", "--night", str(night), *flags]


def _new_history(history: Path, known: int) -> None:
    shutil.rmtree(history, ignore_errors=True)
    flags = ["--what", "history", "--known-objects", str(known), "--set", f"warehouse.path={history / 'warehouse'}"]
    subprocess.run(_job("replay_night", *flags), check=True)
    (history / "done").touch()


def _history_size(history: Path) -> tuple[int, int]:
    """Objects and points of the warehouse."""
    files = list((history / "warehouse" / _LIGHT).glob("**/*.parquet"))
    footers = [pq.read_metadata(file) for file in files]
    column = (
        next((i for i in range(footers[0].num_columns) if footers[0].schema.column(i).path.endswith("exposure_mjd")), 0) if footers else 0
    )
    groups = [footer.row_group(i) for footer in footers for i in range(footer.num_row_groups)]
    return sum(footer.num_rows for footer in footers), sum(group.column(column).num_values for group in groups)


def _night(arguments: argparse.Namespace, history: Path, alerts: int) -> dict[str, Any]:
    """Write the night, run it on a clone of the history, and check it; the clone is left."""
    clone, archive = arguments.folder / "clone", arguments.folder / f"night_{arguments.form}_{alerts}"
    shutil.rmtree(clone, ignore_errors=True)
    shutil.rmtree(archive, ignore_errors=True)
    flags = ["--what", "night", "--known-objects", str(arguments.known_objects), "--alerts", str(alerts), "--form", arguments.form]
    where = ["--templates", str(TEMPLATES), "--out", str(archive), "--set", f"warehouse.path={arguments.folder / 'replay'}"]
    subprocess.run(_job("replay_night", *flags, *where), check=True)
    _clone(history / "warehouse", clone)
    settings = [f"--set=warehouse.path={clone}", *(f"--set={value}" for value in arguments.set)]
    found = _measured(_job("nightly", "--archive", str(archive), *settings)) | {"fit_core_us": _speed()}
    found |= _steps(clone) | {"form": arguments.form, "alerts": alerts, "date": str(dt.date.today()), "machine": machine()}
    found |= {"tables": _new_files(clone)} | ladder_check.check(clone, archive, alerts, NIGHT)
    shutil.rmtree(archive)
    return found


def _folded(clone: Path) -> dict[str, Any]:
    """Cost of folding the night into the base as its time comes, and the base's objects, files and bytes then, and bytes before."""
    late = NIGHT + dt.timedelta(days=load_settings("local").lightcurves.fold_after_nights + 1)
    found: dict[str, Any] = _measured(_job("fold_lightcurves", f"--set=warehouse.path={clone}", night=late))
    added = _new_files(clone)[_LIGHT]
    every = sum(file.stat().st_size for file in (clone / _LIGHT).glob("**/*.parquet"))
    base = {"bytes_before": every - added["bytes"], "bytes": added["bytes"], "objects": added["rows"], "files": added["files"]}
    return found | base


def _clone(source: Path, target: Path) -> None:
    """The warehouse again: data files as links, for Delta never changes them, and logs as copies."""
    shutil.rmtree(target, ignore_errors=True)
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif "_delta_log" in path.parts:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.hardlink_to(path)


def _measured(command: list[str]) -> dict[str, Any]:
    """CPU and wall time of the command and everything it starts, and the most memory these held together; looked at twice a second."""
    begin, held = time.perf_counter(), 0
    process = psutil.Popen(command)
    clock = TreeClock(process)
    spent = 0.0
    while process.poll() is None:
        spent, held = clock.look(), max(held, _memory(process))
        time.sleep(0.5)
    if process.returncode:
        raise RuntimeError(f"{command[2]} ended with exit code {process.returncode}: its messages are above")
    return {"total_core_s": round(spent, 2), "total_wall_s": round(time.perf_counter() - begin, 2), "peak_rss_mb": held >> 20}


def _memory(root: psutil.Process) -> int:
    """Memory of a process and its descendants [byte], what they share counted once."""
    try:
        return sum(process.memory_full_info().pss for process in [root, *root.children(recursive=True)])
    except psutil.Error:  # one of them has just ended: the next look sees the others
        return 0


def _steps(warehouse: Path) -> dict[str, Any]:
    """Cost of each step, of all searches, and the objects touched, as the night's own table of runs has them."""
    files = sorted((warehouse / "runs").glob("*.parquet"))
    rows = {row["job"]: row for row in pa.concat_tables(pq.read_table(file) for file in files).to_pylist()}
    steps = {name: {"core_s": round(rows[name]["core_seconds"], 2), "wall_s": round(rows[name]["seconds"], 2)} for name in _STEPS}
    searches = round(sum(steps[name]["core_s"] for name in SEARCH_ORDER), 2)
    return {"steps": steps, "searches_core_s": searches, "objects": dict(rows["build_lightcurves"]["counts"])["objects"]}


def _new_files(clone: Path) -> dict[str, Any]:
    """What the night added to each table: files, bytes and rows. Those of the history are links."""
    added: dict[str, Any] = {}
    for file in sorted(clone.glob("*/**/*.parquet")):
        if "_delta_log" not in file.parts and file.stat().st_nlink == 1:
            of_table = added.setdefault(file.relative_to(clone).parts[0], {"files": 0, "bytes": 0, "rows": 0})
            of_table["files"] += 1
            of_table["bytes"] += file.stat().st_size
            of_table["rows"] += pq.read_metadata(file).num_rows
    return added


def _fixed_of_today(form: str, objects: int) -> dict[str, float]:
    """What every night costs on this warehouse [core-s], all steps and the searches, if a run of today found it."""
    like = {"form": form, "known_objects_in_warehouse": objects, "date": str(dt.date.today()), "machine": machine()}
    found: dict[str, float] = next((run for run in recorded_nights() if like.items() <= run.items()), {})
    return {name: found[name] for name in ("fixed_core_s", "fixed_searches_core_s") if name in found}


def _keep(found: dict[str, Any]) -> None:
    """Put the night into ladder.json, in place of an earlier one like it."""
    same = ("form", "alerts", "known_objects_in_warehouse")
    kept = [run for run in recorded_nights() if any(run[name] != found[name] for name in same)]
    LADDER.write_text(json.dumps([*kept, found], indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
