"""Read the alert archive of a night into alerts_ztf; what cannot be read goes to quarantine.

    spark-submit jobs/ingest_archive.py --night 2018-11-29 --archive /data/ztf/ztf_public_20181129.tar.gz

Archives are read as streams: nothing is extracted, and no night is ever in memory. Packets keep the survey's own field names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.errors import UsageError
from deeprubin_spark.ingestion import archive, night
from deeprubin_spark.runs import Run

_SHOWN = 20


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Find the sources of these nights, then read them into the tables."""
    if run.survey != "ztf":
        raise UsageError(f"--survey {run.survey}: expected ztf, the only survey with alert archives here")
    found = archive.sources(tuple(arguments.archive) or run.settings.ingest.archive, run.nights)
    if arguments.dry_run:
        for source in found[:_SHOWN]:
            what = f"{len(source.files)} packets" if source.files else "archive"
            print(f"  would read {source.path}: {what}, {source.n_bytes:,} bytes, night {source.night or 'by jd'}", file=sys.stderr)
        rest = f"{len(found)} sources, {sum(source.n_bytes for source in found):,} bytes in all"
        print(f"  {rest}; would replace these nights in {', '.join(t.name for t in night.written_tables(run))}", file=sys.stderr)
        return
    night.ingest(run, found)


def add_flags(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """The nights, and where their alerts are; returns the group of `cli.add_nights`."""
    nights = cli.add_nights(parser)
    parser.add_argument(
        "--archive",
        action="append",
        default=[],
        metavar="PATH",
        help="tar archive, .avro file, or folder of them; may be repeated; replaces the setting ingest.archive",
    )
    return nights


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_archive", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
