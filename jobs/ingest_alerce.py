"""Fetch light curves and classes of ZTF objects from the broker ALeRCE.

    spark-submit jobs/ingest_alerce.py --objects ids.txt
    spark-submit jobs/ingest_alerce.py --object ZTF19aazzpje --object ZTF18aazxcwf
    spark-submit jobs/ingest_alerce.py --query classifier=lc_classifier --query class_name=SNIa --query probability=0.8

Merges into lightcurve_segments (survey ztf_alerce) and labels. After a stop, or exit 75, the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.ingestion import alerce
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Fetch, page by page, what an earlier run of the same request has not fetched."""
    request = alerce.request_of(arguments.objects, arguments.object, arguments.query)
    if arguments.dry_run:
        done = len(alerce.Progress(alerce.progress_path(run.warehouse, request)).done)
        print(f"  would ask ALeRCE for {request} ({done:,} done before) and merge into", file=sys.stderr)
        print(f"  {LIGHTCURVE_SEGMENTS.name} (survey {alerce.SURVEY}) and {LABELS.name}", file=sys.stderr)
        return
    alerce.ingest(run, request, alerce.connect(run))


def add_flags(made: argparse.ArgumentParser) -> None:
    """The flags of this job: which objects."""
    made.add_argument("--objects", default="", metavar="FILE", help="file with one object id per line; # begins a comment")
    made.add_argument("--object", action="append", default=[], metavar="ID", help="an object id; may be repeated")
    made.add_argument("--query", action="append", default=[], metavar="KEY=VALUE", help="a filter of ALeRCE's API; may be repeated")
    made.set_defaults(survey=alerce.SURVEY)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_alerce", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
