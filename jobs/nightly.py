"""Run every step of one night, or of a range of nights, in order: archive to light curves, features, scores, anomalies, searches and the night's page.

    spark-submit jobs/nightly.py --night 2018-11-29
    spark-submit jobs/nightly.py --nights 2018-11-01:2018-11-30
    spark-submit jobs/nightly.py --stale

It stops at the first step that fails, with that step's exit code; the same command goes on from there, because every step can be run again.
--stale recomputes features, scores, searches and pages of nights whose light curves changed since, because an earlier night arrived late.
Simulated surveys are not searched, and only the alerts of ZTF's archive are for what moves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from deeprubin_spark.jobs import (
    build_lightcurves,
    extract_features,
    ingest_archive,
    match_catalogues,
    report_night,
    score_night,
    search_habitability,
    search_interstellar,
    search_technosignatures,
)

from deeprubin_spark import cli, runs
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas.surveys import is_simulated

_FROM_ARCHIVE = (ingest_archive, build_lightcurves)
_FROM_LIGHT_CURVES = (extract_features, score_night)
_SEARCHES = (search_habitability, search_technosignatures, match_catalogues)
_SEARCHES_OF_ALERTS = {"ztf": (search_interstellar,)}  # those that read the alerts of a survey


def steps(survey: str, *, from_archive: bool) -> tuple[ModuleType, ...]:
    """The jobs of a night of `survey` in order, from its archive or from its light curves on."""
    searches = () if is_simulated(survey) else (*_SEARCHES, *_SEARCHES_OF_ALERTS.get(survey, ()))
    return (*(_FROM_ARCHIVE if from_archive else ()), *_FROM_LIGHT_CURVES, *searches, report_night)


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Each step is a run of its own, with this one as parent."""
    if arguments.stale:
        run.nights = runs.stale_nights(run.warehouse, run.survey)
        run.counts["stale_nights"] = len(run.nights)
    nights = run.nights
    for module in steps(run.survey, from_archive=not arguments.stale):
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
    search_technosignatures.add_stars(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "nightly", run, argv, _add_flags)


if __name__ == "__main__":
    sys.exit(main())
