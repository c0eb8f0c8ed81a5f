"""Study the project's models on a published set: what a part of them is worth, with intervals.

    spark-submit jobs/study.py --study sigma --data spcc --out results

sigma: with and without the errors of loss and input. bayesian: one network, and four ways to say what it does not know. shift: from the objects with a
spectrum to all others, without their labels. coverage: whether sets of classes of these hold the truth as often as promised; all of the SN Photometric
Classification Challenge. held_out: how far up the anomaly score ranks a class that no part of the model has seen; active: what a person's votes on anomalies
are worth, by a simulated expert; both of PLAsTiCC. held_out_spcc: held_out for types Ibc and IIn of the challenge. Ingests the set, computes its features,
makes every fit that is not yet in OUT, and writes OUT/study-<name>.json. Run again after an interruption, it goes on with the next fit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deeprubin_spark.jobs import benchmark, ingest_plasticc, ingest_spcc

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.training import code_version, studies
from deeprubin_spark.training.labelled import copies_of, labelled
from deeprubin_spark.training.protocols import PROTOCOLS
from deeprubin_spark.training.study_list import STUDIES


def run(run: Run, arguments: argparse.Namespace) -> None:
    """The set to features, then the study; the result is told on standard error."""
    study = STUDIES[arguments.study]
    protocol = replace(PROTOCOLS[study.protocol], copies=study.copies)
    benchmark.ingested(run, arguments, ingest_plasticc if protocol.survey == "plasticc" else ingest_spcc, protocol)
    if arguments.dry_run:
        return
    (objects, spectroscopic), copies = labelled(run, protocol), next(iter(copies_of(run, protocol).values()), None)
    command = (
        f"deeprubin-study --study {arguments.study} --data {Path(arguments.data).name} --out {arguments.out.name} --seeds {arguments.seeds}"
    )
    given = studies.Study(objects, spectroscopic, arguments.out, command, code_version.commit(), copies)
    result = study.run(given, range(1, arguments.seeds + 1))
    print("\n".join(studies.lines(result)), file=sys.stderr)
    run.counts.update(objects=len(objects.target), rows=len(result["rows"]), seeds=arguments.seeds)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which study, and where."""
    made.add_argument("--study", required=True, choices=tuple(STUDIES), help="what to study")
    made.add_argument("--data", required=True, metavar="PATH", help="folder with the published set, or a part of it")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="where trained networks and the result go")
    made.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 1 to N (default: 3)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "study", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
