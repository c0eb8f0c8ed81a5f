"""Run every step of one night, or of a range of nights, in order: archive to light curves, features, scores, anomalies and the night's page.

    spark-submit jobs/nightly.py --night 2018-11-29
    spark-submit jobs/nightly.py --nights 2018-11-01:2018-11-30
    spark-submit jobs/nightly.py --stale

It stops at the first step that fails, with that step's exit code; the same command goes on from there, because every step can be run again.
--stale recomputes features, scores and pages of nights whose light curves changed since, because an earlier night arrived late.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark.jobs import build_lightcurves, extract_features, ingest_archive, report_night, score_night

from deeprubin_spark import cli, runs
from deeprubin_spark.runs import Run

_FROM_ARCHIVE = (ingest_archive, build_lightcurves)
_FROM_LIGHT_CURVES = (extract_features, score_night, report_night)


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Each step is a run of its own, with this one as parent."""
    if arguments.stale:
        run.nights = runs.stale_nights(run.warehouse, run.survey)
        run.counts["stale_nights"] = len(run.nights)
    nights = run.nights
    for module in _FROM_LIGHT_CURVES if arguments.stale else (*_FROM_ARCHIVE, *_FROM_LIGHT_CURVES):
        if not nights:
            break
        name = module.__name__.rpartition(".")[2]
        step = run.step(name, nights, run.survey)
        cli.run_step(step, module.run, arguments)
        nights = step.nights  # ingestion leaves the nights that have an archive
        run.counts[name] = next(iter(step.counts.values()), 0)


def _add_flags(parser: argparse.ArgumentParser) -> None:
    nights = ingest_archive.add_flags(parser)
    nights.add_argument("--stale", action="store_true", help="recompute the nights that a late night made stale")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "nightly", run, argv, _add_flags)


if __name__ == "__main__":
    sys.exit(main())
