"""Train and judge the scikit-learn baselines by a published protocol, on as much of the published set as PATH holds.

    spark-submit jobs/benchmark.py --set plasticc --data plasticc --out results

Ingests the set, computes its features, makes every fit that is not yet in OUT, and writes OUT/<set>-<model>.json: means over seeds with 95 % intervals,
beside the published numbers. Run again after an interruption, it goes on with the next fit.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from deeprubin_spark.jobs import extract_features, ingest_plasticc, ingest_spcc

from deeprubin_spark import cli
from deeprubin_spark.models.baseline import BASELINES
from deeprubin_spark.runs import Run
from deeprubin_spark.training import benchmark
from deeprubin_spark.training.labelled import labelled, with_label
from deeprubin_spark.training.protocols import PROTOCOLS

_INGEST = {"plasticc": ingest_plasticc, "spcc": ingest_spcc}


def run(run: Run, arguments: argparse.Namespace) -> None:
    """The set to features, then each model; the results are told on standard error."""
    protocol = PROTOCOLS[arguments.set_name]
    ingest = _INGEST[protocol.survey]
    defaults = argparse.ArgumentParser()
    ingest.add_flags(defaults)
    for module in (ingest, extract_features):
        names = {"job": module.__name__.rpartition(".")[2], "survey": protocol.survey, "nights": defaults.get_default("nights")}
        step = dataclasses.replace(run, **names, parent_run_id=run.run_id, run_id=uuid.uuid4().hex, counts={}, inputs={}, outputs={})
        cli.run_step(step, module.run, arguments)
    if arguments.dry_run:
        return
    objects = labelled(run, protocol.survey, protocol.source)
    objects = objects if protocol.with_redshift else objects.without_redshift()
    spectroscopic = np.isin(objects.object_id, with_label(run, protocol.survey, protocol.spectroscopic))
    for model in arguments.models:
        task = benchmark.Task(arguments.set_name, protocol, model, objects, spectroscopic, arguments.out)
        print("\n".join(benchmark.lines(benchmark.run_benchmark(task, range(1, arguments.seeds + 1)))), file=sys.stderr)
    run.counts.update(objects=len(objects.target), models=len(arguments.models), seeds=arguments.seeds)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which benchmark, and where."""
    made.add_argument("--set", dest="set_name", required=True, choices=tuple(PROTOCOLS), help="benchmark to run")
    made.add_argument("--data", required=True, metavar="PATH", help="folder with the published set, or a part of it")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="where predictions and results go")
    models = tuple(BASELINES)
    made.add_argument("--models", nargs="+", default=models, choices=models, help=f"models to train (default: {' '.join(models)})")
    made.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (default: 3)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "benchmark", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
