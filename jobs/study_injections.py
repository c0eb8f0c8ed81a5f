"""Judge the anomaly score on real light curves with shapes added that nature does not make, from 1 to 20 times their errors.

    spark-submit jobs/study_injections.py --survey ztf_labelled --out docs/results/study-injections.json

Reads features of the survey with their points; --fakes adds a folder of light curves (CSV: mjd, mag, magerr), each judged as it is. Writes OUT.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deeprubin_spark import cli
from deeprubin_spark.models import published
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.training import code_version, injection_study, studies

SURVEYS = ("ztf", "ztf_alerce", "ztf_labelled")  # real ones


def run(run: Run, arguments: argparse.Namespace) -> None:
    """The survey's light curves, then the study; the result is told on standard error."""
    curves, sha256 = injection_study.real_curves(run)
    fakes = {path.stem: injection_study.fake(path) for path in sorted(arguments.fakes.glob("*.csv"))} if arguments.fakes else {}
    if arguments.dry_run:
        print(f"  would inject into {len(curves):,} light curves of {run.survey}, and judge {len(fakes)} fakes", file=sys.stderr)
        return
    rule = rule_of(run.survey)
    model = published.load(published.find(run.settings.scoring.models_path, rule.contract, run.settings.scoring.model), rule.contract)
    told = {
        "command": f"deeprubin-study-injections --survey {run.survey} --seeds {arguments.seeds}" + (" --fakes DIR" if fakes else ""),
        "commit": code_version.commit(),
        "data_sha256": sha256,
        "note": f"model {model.version}",
    }
    result = injection_study.run(model, curves, fakes, range(1, arguments.seeds + 1), told, arguments.out)
    print("\n".join(studies.lines(result)), file=sys.stderr)
    run.counts.update(objects=len(curves), fakes=len(fakes), seeds=arguments.seeds)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which light curves, and where the result goes."""
    made.add_argument("--survey", default="ztf", choices=SURVEYS, help="survey of the real light curves (default: ztf)")
    made.add_argument("--fakes", type=Path, metavar="DIR", help="folder of light curves to judge as they are")
    made.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON file of the result")
    made.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 1 to N (default: 5)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "study_injections", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
