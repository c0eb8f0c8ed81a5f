"""Classify the objects that a night touched, and rank the odd ones.

    spark-submit jobs/score_night.py --night 2018-11-29

Reads features and a published model; replaces the night's slices of scores and anomalies for that model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark import StorageLevel
from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.models import published
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ANOMALIES, SCORES
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.scoring import class_shares, verdicts


def run(run: Run, arguments: argparse.Namespace) -> None:
    """One pass makes both tables; every object is scored or says why not, ranked or says why not."""
    settings = run.settings.scoring
    rule = rule_of(run.survey)
    model = published.load(published.find(settings.models_path, rule.contract, settings.model), rule.contract)
    run.model_version = model.version
    features = run.read(rule.table, survey=run.survey, nights=run.nights).where(F.col("feature_set") == rule.feature_set.name)
    if arguments.dry_run:
        print(f"  would score {features.count():,} objects with {model.version}, into {SCORES.name} and {ANOMALIES.name}", file=sys.stderr)
        return
    judged = features.transform(verdicts.verdicts(model, settings)).persist(StorageLevel.DISK_ONLY)
    scored = class_shares.with_night_probabilities(judged, model.class_shares)
    for table, rows in ((SCORES, verdicts.scores(scored)), (ANOMALIES, verdicts.anomalies(judged))):
        run.replace_slice(table, rows, nights=run.nights, survey=run.survey, model_version=model.version)
    judged.unpersist()
    for table, kept in ((SCORES, ("scored", "abstained")), (ANOMALIES, ("ranked",))):
        rows = run.warehouse.read(table, survey=run.survey, nights=run.nights).where(F.col("model_version") == model.version)
        by_status = {row["status"]: row["count"] for row in rows.groupBy("status").count().collect()}  # one row a status: bounded
        run.counts.setdefault("objects", sum(by_status.values()))
        run.counts.update({status: by_status.get(status, 0) for status in kept})


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "score_night", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
