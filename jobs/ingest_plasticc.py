"""Write PLAsTiCC's simulated light curves with their hosts and classes, as LSST or as ZTF would have seen them.

    spark-submit jobs/ingest_plasticc.py --data plasticc --survey plasticc

PATH is a folder with the set's two tables, light curves and metadata, which are known by their columns. plasticc: six bands, every flux.
plasticc_parts: the same, whole and in parts, for a classifier of LSST alerts. plasticc_ztf: g and r at ZTF's depth, whole and in parts, for a classifier of
ZTF alerts. Replaces that survey of lightcurve_segments (and hosts), and merges the classes into labels.
Next: extract_features --survey plasticc --night 2024-12-30.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.ingestion import plasticc, plasticc_parts, plasticc_ztf, published_points
from deeprubin_spark.runs import Run

IN_PARTS = {plasticc_parts.SURVEY: plasticc_parts.write, plasticc_ztf.SURVEY: plasticc_ztf.write}


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the survey that was asked for."""
    found = plasticc.published(run.session, arguments.data)
    if arguments.dry_run:
        print(found.plan(run.survey), file=sys.stderr)
    elif run.survey == plasticc.SURVEY:
        published_points.write(run, found)
    else:
        IN_PARTS[run.survey](run, arguments.data)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Where the simulation lies, and as whom it is to be seen."""
    made.add_argument("--data", required=True, metavar="PATH", help="folder with the light curves and the metadata, Parquet or CSV")
    surveys = (plasticc.SURVEY, *IN_PARTS)
    made.add_argument("--survey", default=plasticc.SURVEY, choices=surveys, help=f"survey to write (default: {plasticc.SURVEY})")
    made.set_defaults(nights=(plasticc.NIGHT,))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_plasticc", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
