"""Join ELAsTiCC's simulated alerts to light curves, and write them with their hosts and true classes.

    spark-submit jobs/ingest_elasticc.py --data elasticc

PATH is a folder with Parquet files of alerts (schema v0.9.1; truth columns may be there or not). Replaces survey 'elasticc' of lightcurve_segments and hosts,
and merges the truth into labels. Next: extract_features --survey elasticc --night 2026-12-31.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.ingestion import elasticc, published_points
from deeprubin_spark.runs import Run


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write what lies in the folder."""
    found = elasticc.published(run.session, arguments.data)
    if arguments.dry_run:
        print(found.plan(), file=sys.stderr)
        return
    published_points.write(run, found)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Where the alerts lie."""
    made.add_argument("--data", required=True, metavar="PATH", help="folder with Parquet files of alerts")
    made.set_defaults(survey=elasticc.SURVEY, nights=(elasticc.NIGHT,))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_elasticc", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
