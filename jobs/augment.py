"""Copy labelled light curves to other redshifts and onto other nights, as a survey of their own that training can add to them.

    spark-submit jobs/augment.py --into spcc_transductive

Reads lightcurve_segments, hosts and labels of the survey that is copied, which must be ingested; replaces the survey of copies in lightcurve_segments and
hosts, and merges the parents' labels into labels. A copy is called <parent>/copy-<k>. Next: extract_features of that survey, for the same night.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.preprocessing import augmentation
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import HOSTS, LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.surveys import COPIED


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the copies; those that would not be detected are counted."""
    rule, settings, into = COPIED[run.survey], run.settings.augmentation, run.survey
    segments, hosts = (run.read(table, survey=rule.of) for table in (LIGHTCURVE_SEGMENTS, HOSTS))
    labels = run.read(LABELS, survey=rule.of).where((F.col("source") == rule.source) & F.col("class").isNotNull())
    parents, others = (segments.join(labels.select("object_id").distinct(), "object_id", how) for how in ("left_semi", "left_anti"))
    n_parents = parents.count()
    if n_parents == 0:
        raise NoInputError(f"{LABELS.name}: expected objects of survey {rule.of} with a class by {rule.source}, found none; ingest it")
    if arguments.dry_run:
        print(f"  would make up to {n_parents * settings.copies_per_object:,} copies and replace survey {into!r}", file=sys.stderr)
        return
    pool = augmentation.pool_of(parents if rule.cadences == "labelled" else others, settings)
    run.replace_slice(LIGHTCURVE_SEGMENTS, augmentation.copies(parents, hosts, pool, into, rule, settings), nights=None, survey=into)
    made = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=into)
    run.replace_slice(HOSTS, augmentation.host_rows(made, hosts, into, settings), nights=None, survey=into)
    run.merge_by_key(LABELS, augmentation.label_rows(made, labels, into))
    n_copies = made.count()
    not_detected = n_parents * settings.copies_per_object - n_copies
    run.counts.update(copies=n_copies, parents=n_parents, not_detected=not_detected, pool=len(pool.peak))


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which copies."""
    told = "; ".join(f"{name}: of {rule.of}, on nights of its {rule.cadences} objects" for name, rule in COPIED.items())
    made.add_argument("--into", dest="survey", required=True, choices=tuple(COPIED), metavar="SURVEY", help=told)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "augment", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
