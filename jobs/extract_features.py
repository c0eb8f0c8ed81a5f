"""Fit the Gaussian process and compute the features of the objects that a night touched.

    spark-submit jobs/extract_features.py --night 2018-11-29

Reads lightcurve_segments and lightcurve_base, only points known by that night; replaces the night's slice of features,
or of features_lsst for a survey in six bands.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence

from pyspark.sql import functions as F

from deeprubin_spark import cli, quality
from deeprubin_spark.preprocessing.features import features
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import HOSTS, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.features import rule_of


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the features of the touched objects; the gate fails the job where too many fits fail."""
    rule = rule_of(run.survey)
    table, feature_set = rule.table, rule.feature_set.name
    segments = run.read(LIGHTCURVE_SEGMENTS, survey=run.survey)
    known = segments.where(F.col("night") <= F.lit(run.nights[-1]))
    touched = segments.where(F.col("night").isin(list(run.nights)))
    if arguments.dry_run:
        print(f"  would fit {touched.count():,} objects and replace their slice of {table.name}", file=sys.stderr)
        return
    window = F.lit(run.nights[0] - dt.timedelta(days=run.settings.features.period_memory_nights))
    written_before = run.warehouse.read(table, survey=run.survey).where(F.col("feature_set") == feature_set)
    earlier = written_before.where(F.col("night").between(window, F.lit(run.nights[0] - dt.timedelta(days=1))))
    hosts = run.read(HOSTS, survey=run.survey) if rule.feature_set.with_host else None
    made = features(known, run.read(LIGHTCURVE_BASE, survey=run.survey), touched, earlier, rule, hosts)
    run.replace_slice(table, made, nights=run.nights, survey=run.survey, feature_set=feature_set)
    written = run.warehouse.read(table, survey=run.survey, nights=run.nights).where(F.col("feature_set") == feature_set)
    by_status = {row["status"]: row["count"] for row in written.groupBy("status").count().collect()}  # one row a status: bounded
    run.counts.update({"objects": sum(by_status.values()), **dict(sorted(by_status.items()))})
    failed = by_status.get("fit_failed", 0) + by_status.get("bad_input", 0)
    tried = run.counts["objects"] - by_status.get("too_few_points", 0)
    where, limit = f"{table.name} {run.nights[0]}", run.settings.features.max_failed_fraction
    quality.require_at_most(where, "objects could not be fitted", failed, tried, limit, "features.max_failed_fraction")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "extract_features", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
