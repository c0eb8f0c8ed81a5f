"""Train and judge networks and the scikit-learn baselines by a published protocol, on as much of the published set as PATH holds.

    spark-submit jobs/benchmark.py --set plasticc --data plasticc --out results

Ingests the set, computes its features, and those of copies where the protocol trains with some, makes every fit that is not yet in OUT, and writes
OUT/<set>-<model>.json: means over seeds with 95 % intervals, beside the published numbers. Run again after an interruption, it goes on with the next fit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from deeprubin_spark.jobs import augment, extract_features, ingest_plasticc, ingest_spcc

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.training import benchmark, labelled
from deeprubin_spark.training.benchmark import MODELS, USUAL
from deeprubin_spark.training.protocols import PROTOCOLS, Protocol


def ingested(run: Run, arguments: argparse.Namespace, ingest: ModuleType, protocol: Protocol) -> None:
    """The protocol's set to features, by the job that ingests it, and the copies that it names; a dry run stops after the set."""
    nights = cli.parser("", "ingest", ingest.add_flags).get_default("nights")
    steps = (("ingest_" + protocol.survey, ingest.run, protocol.survey), *(("augment", augment.run, into) for into in protocol.copies))
    for name, step, survey in steps[: 1 if arguments.dry_run else None]:  # before the set is written there is nothing to copy
        cli.run_step(run.step(name, nights, survey), step, arguments)
        cli.run_step(run.step("extract_features", nights, survey), extract_features.run, arguments)


def run(run: Run, arguments: argparse.Namespace) -> None:
    """The set to features, then each model; the results are told on standard error."""
    protocol = PROTOCOLS[arguments.protocol]
    ingest = ingest_plasticc if protocol.survey == "plasticc" else ingest_spcc
    ingested(run, arguments, ingest, protocol)
    if arguments.dry_run:
        return
    objects, copies = labelled.labelled(run, protocol), labelled.copies_of(run, protocol)
    for model in arguments.models:
        task = benchmark.Task(arguments.protocol, protocol, model, *objects, arguments.out, copies, tuple(arguments.set))
        print(*benchmark.lines(benchmark.run_benchmark(task, range(1, arguments.seeds + 1))), sep="\n", file=sys.stderr)
    run.counts.update(objects=len(objects[0].target), models=len(arguments.models), seeds=arguments.seeds)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which benchmark, and where."""
    made.add_argument("--protocol", required=True, choices=tuple(PROTOCOLS), help="benchmark to run; --set NAME is the same")
    made.add_argument("--data", required=True, metavar="PATH", help="folder with the published set, or a part of it")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="where predictions and results go")
    made.add_argument("--models", nargs="+", default=USUAL, choices=MODELS, help=f"models to train (default: {' '.join(USUAL)})")
    made.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (default: 3)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    words = [*(sys.argv[1:] if argv is None else argv), ""]  # every job's --set takes a setting, with an '=' in it; ours a benchmark too
    words = ["--protocol" if word == "--set" and after in PROTOCOLS else word for word, after in pairwise(words)]
    return cli.job(__doc__, "benchmark", run, words, add_flags)


if __name__ == "__main__":
    sys.exit(main())
