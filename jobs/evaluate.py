"""Judge a published model on labelled light curves that nobody here has seen.

    spark-submit jobs/evaluate.py --model tcn-ztf_gr_2-97fdffab --data plasticc --out evaluation

PATH is a folder in the layout of PLAsTiCC or of the SN Photometric Classification Challenge, or holds a table of light curves (object_id, mjd, band,
flux_njy, flux_err_njy) and one of labels (object_id, class), known by their columns. Objects that trained the model are excluded and counted. Writes
predictions, early predictions, a metrics JSON and one page into DIR; its tables lie in DIR/warehouse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
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
        print(f"{found.published.plan(found.survey)} in {arguments.out}/warehouse, as {model.version} sees them", file=sys.stderr)
        return
    inside = evaluation.in_own_warehouse(run, arguments.out)
    trained = trained_on(model, found.objects, found.layout)
    left_out = run.session.createDataFrame(pd.DataFrame({"object_id": sorted(trained.object_id)}, dtype=object), "object_id string")
    steps = (("ingest", found.write), ("truncate", write_truncated(left_out)), ("extract_features", extract_features.run))
    for name, step in (*steps, ("check_truncated", check_truncated)):
        of_step = inside.step(name, (found.night,), found.survey)
        cli.run_step(of_step, step, arguments)
    told = {"path": str(place), "layout": found.layout, "sha256": found.sha256(run.session)}
    subject = evaluation.Subject(model, trained, found.label_source, told, " ".join(arguments.command))
    judging = inside.step("judge", (found.night,), found.survey)
    metrics = evaluation.evaluate(judging, subject, found.objects, of_step.counts, arguments.out)
    evaluation.write_last(arguments.out / evaluation_page.NAME, evaluation_page.page(metrics))
    run.counts.update(judging.counts)
    print("\n".join(evaluation.lines(metrics)), file=sys.stderr)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which model, which set, where to."""
    made.add_argument("--model", default="", metavar="V", help="version of the model, in scoring.models_path (default: the newest)")
    made.add_argument("--data", required=True, nargs="+", metavar="PATH", help="folder with the set, or its files")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="where predictions, metrics, page and tables go")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    words = list(sys.argv[1:] if argv is None else argv)
    return cli.job(
        __doc__, "evaluate", run, words, lambda made: (add_flags(made), made.set_defaults(command=["deeprubin-evaluate", *words]))
    )


if __name__ == "__main__":
    sys.exit(main())
