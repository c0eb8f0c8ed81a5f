"""Judge the search for interstellar objects: made-up bodies at real exposures of ZTF, among real detections.

    spark-submit jobs/study_interstellar.py --data /data/solar_system --out docs/results/interstellar.json

Recall and purity of links, candidates among bound and unbound bodies, false links of nights turned about, and orbits beside Fink-FAT's. Writes OUT; needs
no warehouse.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from deeprubin_spark import cli
from deeprubin_spark.searches import interstellar_study
from deeprubin_spark.training import code_version


def run(arguments: argparse.Namespace) -> None:
    """The study, then its file."""
    sizes = {name: getattr(arguments, name) for name in ("bound", "unbound", "false_alarms")}
    if arguments.dry_run:
        print(f"  would study {sizes} bodies at the exposures in {arguments.data}, into {arguments.out}", file=sys.stderr)
        return
    flags = " ".join(f"--{name.replace('_', '-')} {size}" for name, size in sizes.items())
    result = {
        "search": "interstellar",
        "command": f"deeprubin-study-interstellar --data {arguments.data.name} --out {arguments.out.name} --seed {arguments.seed} {flags}",
        "commit": code_version.commit(),
        "data_sha256": interstellar_study.data_hash(arguments.data),
        "seed": arguments.seed,
        **interstellar_study.study(arguments.data, arguments.seed, **sizes),
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which data, how many bodies, and where the result goes."""
    made.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder with Fink-FAT's trajectories and orbits")
    made.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON file of the result")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="seed of all that is drawn (default: 1)")
    made.add_argument("--bound", type=int, default=300, metavar="N", help="bound bodies to link in each window of nights (default: 300)")
    made.add_argument("--unbound", type=int, default=150, metavar="N", help="unbound ones, three fifths like 1I, 2I, 3I (default: 150)")
    made.add_argument(
        "--false-alarms", type=int, default=10_000, metavar="N", help="bound bodies for the rate of false alarms (default: 10000)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job; it starts no session."""
    return cli.job_without_session(__doc__, "study_interstellar", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
