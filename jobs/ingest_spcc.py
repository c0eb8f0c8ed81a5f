"""Write the supernovae of the SN Photometric Classification Challenge with their hosts, spectroscopic types and true types.

    spark-submit jobs/ingest_spcc.py --data spcc

PATH is a folder with the original SNANA text files (*.DAT), or with two tables made of them (light curves, metadata; known by their columns). Replaces survey
'spcc' of lightcurve_segments and hosts, and merges the types into labels (spcc_spectroscopic, spcc_truth). Next: extract_features --survey spcc --night
2013-02-28.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.ingestion import published_points, spcc
from deeprubin_spark.runs import Run


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write what lies in the folder; text files that are not SNANA's are counted."""
    found = spcc.published(run.session, arguments.data)
    if arguments.dry_run:
        print(found.plan(), file=sys.stderr)
        return
    published_points.write(run, found)
    run.counts["unreadable_files"] = spcc.unreadable(run.session, arguments.data)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Where the set lies."""
    made.add_argument("--data", required=True, metavar="PATH", help="folder with *.DAT, or with Parquet or CSV of the same")
    made.set_defaults(survey=spcc.SURVEY, nights=(spcc.NIGHT,))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_spcc", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
