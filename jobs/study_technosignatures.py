"""Judge the search for technosignatures: made-up natural stars and shapes at real epochs, with the noise of their errors.

    spark-submit jobs/study_technosignatures.py --light-curves tests/data/ztf_histories/detections.csv --out docs/results/technosignatures.json

How odd eclipsing binaries, young stars, R CrB stars, cataclysmic variables and RR Lyrae stars look and where they rank, how often chance makes a star odd
whose nights are exchanged, and how high a shape must be to be found. LIGHT-CURVES: CSV with object_id, mjd, band, flux_err_njy. Writes OUT; needs no
warehouse.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from deeprubin_spark import cli
from deeprubin_spark.searches import technosignature_study
from deeprubin_spark.training import code_version


def run(arguments: argparse.Namespace) -> None:
    """The study, then its file."""
    path, sizes = arguments.light_curves, (arguments.stars_of_a_kind, arguments.stars_of_a_shape)
    if arguments.dry_run:
        print(
            f"  would study {sizes[0]} stars of each kind, {sizes[1]} of each shape, at the epochs in {path}, into {arguments.out}",
            file=sys.stderr,
        )
        return
    flags = f"--seed {arguments.seed} --stars-of-a-kind {sizes[0]} --stars-of-a-shape {sizes[1]}"
    result = {
        "search": "technosignatures",
        "command": f"deeprubin-study-technosignatures --light-curves {path.name} --out {arguments.out.name} {flags}",
        "commit": code_version.commit(),
        "data_sha256": technosignature_study.data_hash(path),
        "seed": arguments.seed,
        **technosignature_study.study(path, arguments.seed, *sizes),
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def add_flags(made: argparse.ArgumentParser) -> None:
    """Whose epochs, how many stars, and where the result goes."""
    made.add_argument(
        "--light-curves", required=True, type=Path, metavar="FILE", help="CSV of real light curves, whose epochs and errors are taken"
    )
    made.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON file of the result")
    made.add_argument("--seed", type=int, default=1, metavar="N", help="seed of all that is drawn (default: 1)")
    made.add_argument("--stars-of-a-kind", type=int, default=1_000, metavar="N", help="natural stars of each of five kinds (default: 1000)")
    made.add_argument("--stars-of-a-shape", type=int, default=200, metavar="N", help="stars of each shape and amplitude (default: 200)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job; it starts no session."""
    return cli.job_without_session(__doc__, "study_technosignatures", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
