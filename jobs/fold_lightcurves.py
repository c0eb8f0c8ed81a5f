"""Fold older light-curve segments into lightcurve_base. Maintenance: the view `lightcurves` stays the same.

    spark-submit jobs/fold_lightcurves.py --night 2019-07-20

Folds the segments of nights more than lightcurves.fold_after_nights days before the night given.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.preprocessing import folding
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the base first, then remove the segments: after a crash in between they are in both, and the segments count."""
    before = run.nights[0] - dt.timedelta(days=run.settings.lightcurves.fold_after_nights)
    with run.warehouse.exclusive(LIGHTCURVE_SEGMENTS):
        segments = run.read(LIGHTCURVE_SEGMENTS, survey=run.survey)
        nights = folding.nights_to_fold(segments, before)
        run.counts["nights"] = len(nights)
        if arguments.dry_run:
            print(f"  would fold {len(nights)} nights before {before} into {LIGHTCURVE_BASE.name}", file=sys.stderr)
            return
        if not nights:
            return
        old = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=run.survey, nights=nights)
        run.counts["segments"] = old.count()
        base = folding.folded(old, run.read(LIGHTCURVE_BASE, survey=run.survey), nights)
        run.replace_slice(LIGHTCURVE_BASE, base, nights=None, survey=run.survey)
        run.replace_slice(LIGHTCURVE_SEGMENTS, old.limit(0), nights=nights, survey=run.survey)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "fold_lightcurves", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
