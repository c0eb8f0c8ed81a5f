"""Rank the first anomalies of a night again, by people's votes on these and on earlier ones.

    spark-submit jobs/rerank_anomalies.py --night 2018-11-29

Reads anomalies, features and feedback; replaces the night's slice of anomaly_ranks: the first 10,000 anomalies with their rank before and after the votes.
Without votes both are the same. vote shows objects in that order. The same votes give the same order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.models import published
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ANOMALIES, ANOMALY_RANKS, FEEDBACK
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.searches import anomaly_ranks


def run(run: Run, arguments: argparse.Namespace) -> None:
    """A night at a time: an order is one night's, and what it needs of it is bounded."""
    settings = run.settings.scoring
    version = published.find(settings.models_path, rule_of(run.survey).contract, settings.model).name
    if arguments.dry_run:
        rows = (
            run.read(ANOMALIES, survey=run.survey, nights=run.nights)
            .where("status = 'ranked'")
            .where(f"model_version = '{version}'")
            .count()
        )
        n_votes = run.read(FEEDBACK, survey=run.survey).count()
        print(f"  would rank {rows:,} anomalies by {version} again, from {n_votes:,} votes, into {ANOMALY_RANKS.name}", file=sys.stderr)
        return
    known = anomaly_ranks.votes(run)
    for night in run.nights:
        anomaly_ranks.rank_night(run, night, version, known)
    run.counts.update(objects=run.warehouse.read(ANOMALY_RANKS, survey=run.survey, nights=run.nights).count(), votes=len(known.object_id))
    if not len(known.object_id):
        print("  no votes: the order is that of anomalies", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "rerank_anomalies", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
