"""Make PLAsTiCC's simulated light curves ZTF-like and write them, with parts of them and their classes, for training.

    spark-submit jobs/ingest_plasticc.py --light-curves training_set.parquet --metadata training_set_metadata.parquet

Replaces survey 'plasticc' of lightcurve_segments, and merges the classes into labels. Next: extract_features --survey plasticc --night 2024-12-30.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import plasticc
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the segments, then the labels."""
    metadata = plasticc.metadata(run.session, arguments.metadata)
    points = plasticc.light_curves(run.session, arguments.light_curves)
    n_simulated = metadata.count()
    if n_simulated == 0:
        raise NoInputError(f"{arguments.metadata}: expected one row an object, found none")
    if arguments.dry_run:
        print(f"  would read {n_simulated:,} objects and replace survey 'plasticc' of {LIGHTCURVE_SEGMENTS.name}", file=sys.stderr)
        return
    settings = run.settings.training
    made = points.transform(plasticc.segments(metadata, settings.seed, settings.windows_per_object))
    run.replace_slice(LIGHTCURVE_SEGMENTS, made, nights=(plasticc.NIGHT,), survey=plasticc.SURVEY)
    run.merge_by_key(LABELS, plasticc.labels(metadata))
    written = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=plasticc.SURVEY)
    is_part = F.col("object_id").contains("/")
    kept, parts = written.where(~is_part).count(), written.where(is_part).count()
    run.counts.update(objects=n_simulated, kept=kept, never_detected=n_simulated - kept, parts=parts)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Where the simulation lies."""
    made.add_argument("--light-curves", required=True, metavar="PATH", help="Parquet or CSV: object_id, mjd, passband, flux, flux_err")
    made.add_argument("--metadata", required=True, metavar="PATH", help="Parquet or CSV: object_id, ra, decl, target")
    made.set_defaults(survey=plasticc.SURVEY, nights=(plasticc.NIGHT,))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_plasticc", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
