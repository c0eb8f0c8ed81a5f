"""Take a list of objects with their known types (catalogues, spectroscopy) into labels.

    spark-submit jobs/ingest_labels.py --list object_labels.csv --labelled-on 2026-11-01

Merges into labels. Pages written after it show the classes of labelled objects beside their labels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import label_lists
from deeprubin_spark.ingestion.files import read_columns
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write one label for each object and source."""
    listed = read_columns(run.session, arguments.list, label_lists.COLUMNS)
    n_rows = listed.count()
    if n_rows == 0:
        raise NoInputError(f"{arguments.list}: expected one row a label, found none")
    if arguments.dry_run:
        print(f"  would merge up to {n_rows:,} labels into {LABELS.name}", file=sys.stderr)
        return
    made = label_lists.labels(listed, run.survey, arguments.labelled_on)
    run.merge_by_key(LABELS, made)
    n_labels, n_classes = made.agg(F.count("*"), F.count("class")).collect()[0]  # one row: bounded
    run.counts.update(rows=n_rows, labels=n_labels, with_a_class=n_classes)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which list, and of what day."""
    made.add_argument("--list", required=True, metavar="PATH", help="CSV or Parquet: objectId, source, label")
    made.add_argument("--labelled-on", required=True, type=cli.date, metavar="YYYY-MM-DD", help="day the list was made")
    made.add_argument("--survey", default="ztf", choices=("ztf",), help="survey whose objects are labelled (default: ztf)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_labels", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
