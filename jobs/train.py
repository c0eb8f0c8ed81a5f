"""Train a classifier and an isolation forest on the features in the warehouse, and publish them as a model version.

    spark-submit jobs/train.py --set training.publish_to=models

Needs labelled features (ingest_plasticc and extract_features, both with --survey plasticc_ztf) and features of real ZTF objects. Trains with Horovod, one
rank per Spark task (training.processes); run again after an interruption, it goes on from the last epoch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, MODELS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.training.publish import train_and_publish


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Train and publish; the version, its place and its metrics are told on standard error."""
    settings = run.settings.training
    if arguments.dry_run:
        table = rule_of(settings.survey).table
        n_rows = run.read(table, survey=settings.survey).count()
        print(f"  would train on {n_rows:,} rows of {table.name} with {LABELS.name} of {settings.label_source}", file=sys.stderr)
        print(f"  would write a directory in {settings.publish_to} and a row of {MODELS.name}", file=sys.stderr)
        return
    model = train_and_publish(run)
    metrics, baseline = model.manifest["metrics"], model.manifest["metrics_baseline"]
    print(
        f"  {model.version} in {settings.publish_to}; on {metrics['n_objects']:.0f} light curves it never saw (simulated, if trained on simulations):",
        file=sys.stderr,
    )
    for name in ("log_loss", "accuracy", "balanced_accuracy", "macro_f1", "ece"):
        print(f"    {name:<18} {metrics[name]:.3f}   boosted trees {baseline[name]:.3f}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "train", run, argv)


if __name__ == "__main__":
    sys.exit(main())
