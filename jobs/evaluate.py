"""Judge a published model on labelled light curves that nobody here has seen.

    spark-submit jobs/evaluate.py --model tcn-ztf_gr_2-6de2ccec --data plasticc --out evaluation

PATH is a folder in the layout of PLAsTiCC or of the SN Photometric Classification Challenge, or holds a table of light curves (object_id, mjd, band,
flux_njy, flux_err_njy) and one of labels (object_id, class), known by their columns. Objects that trained the model are excluded and counted. Writes
predictions, early predictions, a metrics JSON and one page into DIR; its tables lie in DIR/warehouse.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from deeprubin_spark.jobs import extract_features

from deeprubin_spark import cli
from deeprubin_spark.ingestion.recognised import recognise
from deeprubin_spark.preprocessing.truncation import check_truncated, write_truncated
from deeprubin_spark.reporting import evaluation_page
from deeprubin_spark.runs import Run
from deeprubin_spark.training import evaluation
from deeprubin_spark.training.evaluation_rows import model_of, trained_on


def run(run: Run, arguments: argparse.Namespace) -> None:
    """The set to features of whole and cut curves, each step in its own line; then the numbers and the page."""
    model = model_of(run, arguments.model)
    run.model_version = model.version
    place = arguments.data[0] if len(arguments.data) == 1 else arguments.data
    found = recognise(run.session, place, model.manifest["feature_set"])
    if arguments.dry_run:
        print(f"{found.published.plan(found.survey)}, in {arguments.out}/warehouse, and judge {model.version} on it", file=sys.stderr)
        return
    inside = evaluation.in_own_warehouse(run, arguments.out)

    def step(name: str, work: cli.Step) -> dict[str, int]:
        of_step = inside.step(name, (found.night,), found.survey)
        cli.run_step(of_step, work, arguments)
        return of_step.counts

    trained = trained_on(model, found.objects)
    subject = evaluation.Subject(model, trained, found.label_source, found.told(run.session), _command(arguments, model.version))
    step("ingest", found.write)
    step("truncate", write_truncated(trained))
    step("extract_features", extract_features.run)
    compared = step("check_truncated", check_truncated)
    run.counts.update(step("judge", lambda of_step, _: evaluation.evaluate(of_step, subject, found.objects, compared, arguments.out)))
    metrics = evaluation.read(arguments.out)
    evaluation.write_last(arguments.out / evaluation_page.NAME, evaluation_page.page(metrics))
    print("\n".join(evaluation.lines(metrics)), file=sys.stderr)


def _command(arguments: argparse.Namespace, version: str) -> str:
    sets = [word for value in arguments.set for word in ("--set", value)]
    return shlex.join(["deeprubin-evaluate", "--model", version, "--data", *arguments.data, "--out", str(arguments.out), *sets])


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which model, which set, where to."""
    made.add_argument("--model", default="", metavar="V", help="version of the model, in scoring.models_path (default: the newest)")
    made.add_argument("--data", required=True, nargs="+", metavar="PATH", help="folder with the set, or its files")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="where predictions, metrics, page and tables go")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "evaluate", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
