"""Write a night of any size, made of real packets, and the light curves that it meets in the warehouse.

    spark-submit jobs/replay_night.py --what history --night 2026-11-20 --known-objects 100000 --set warehouse.path=/data/replay
    spark-submit jobs/replay_night.py --what night --night 2026-11-20 --known-objects 100000 --alerts 20000 --out /data/replay/archive

`history` replaces survey 'ztf' of lightcurve_base, and the periods that earlier nights would have left in features, in a warehouse that has
nothing else; `night` writes files for ingest_archive. No two objects are alike, and everything is a function of the flags: the same ones write
the same night.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.errors import UsageError
from deeprubin_spark.ingestion import replay_files, replay_history, replay_periods
from deeprubin_spark.ingestion.replay_sky import Sky
from deeprubin_spark.runs import Run


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the history, or the nights."""
    if run.survey != "ztf":
        raise UsageError(f"--survey {run.survey}: expected ztf, the only survey with packets to replay")
    known, fraction = arguments.known_objects, arguments.known_fraction if arguments.known_objects else 0.0
    sky = Sky(arguments.seed, known, arguments.history_nights if known else 0, arguments.first_night or run.nights[0])
    if arguments.what == "history":
        unfolded = replay_history.unfolded_nights(sky, arguments.unfolded_nights)
        if arguments.dry_run:
            print(f"  would write the history of {known:,} objects, {len(unfolded)} nights of it unfolded", file=sys.stderr)
            return
        replay_history.write(run, sky, unfolded)
        replay_periods.write(run, sky)
    for night in run.nights if arguments.what == "night" else ():
        files = replay_files.Night(sky, night, arguments.alerts, fraction, arguments.form, arguments.templates, arguments.out)
        replay_files.check(files)
        if arguments.dry_run:
            print(f"  would write {arguments.alerts:,} alerts of {night} to {files.n_files} files like {files.path(0)}", file=sys.stderr)
            continue
        replay_files.write(run, files)


def add_flags(made: argparse.ArgumentParser) -> None:
    """The sky, the night and where it goes."""
    cli.add_nights(made)
    made.add_argument("--what", required=True, choices=("history", "night"), help="the warehouse's light curves, or the night's files")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="another sky, or the same (default: 1)")
    made.add_argument("--known-objects", type=int, default=0, metavar="N", help="objects known before (default: 0)")
    made.add_argument("--history-nights", type=int, default=40, metavar="N", help="nights, every third, each was observed on (default: 40)")
    made.add_argument("--first-night", type=cli.date, metavar="DATE", help="the history ends before it (default: the first night given)")
    made.add_argument(
        "--unfolded-nights", type=int, default=0, metavar="N", help="last nights of the history left as segments (default: 0)"
    )
    made.add_argument("--alerts", type=int, default=20_000, metavar="N", help="alerts a night (default: 20000)")
    made.add_argument("--known-fraction", type=float, default=0.85, metavar="F", help="share of them on known objects (default: 0.85)")
    made.add_argument(
        "--form", choices=replay_files.FORMS, default="payloads", help="bare payloads, or archives with stamps (default: payloads)"
    )
    made.add_argument(
        "--templates", default="archive", metavar="PATH", help="archive of real packets, or folder of them (default: archive)"
    )
    made.add_argument("--out", default="replay", metavar="DIR", help="folder that receives the files (default: replay)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "replay_night", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
