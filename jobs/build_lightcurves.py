"""Turn the alerts of a night into light-curve segments, one for each object that the night touched.

    spark-submit jobs/build_lightcurves.py --night 2018-11-29

Reads alerts_ztf; replaces the night's slice of lightcurve_segments. The view `lightcurves` joins the segments of all nights.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence

from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.preprocessing import folding
from deeprubin_spark.preprocessing.segments import segments
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ALERTS_ZTF, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the segments, of folded nights again if one of them is run again; then take those out of the base."""
    base = run.read(LIGHTCURVE_BASE, survey="ztf")
    nights = folding.nights_to_rebuild(_alert_nights(run), base, run.nights)
    alerts = run.read(ALERTS_ZTF, nights=nights)
    if arguments.dry_run:
        print(f"  would read {alerts.count():,} alerts and replace their nights in {LIGHTCURVE_SEGMENTS.name}", file=sys.stderr)
        return
    made = alerts.transform(segments(run.settings.lightcurves, run.settings.ingest.programids))
    run.replace_slice(LIGHTCURVE_SEGMENTS, made, nights=nights, survey="ztf")
    if folding.holds(base, run.nights):
        run.replace_slice(LIGHTCURVE_BASE, folding.before(base, min(run.nights)), nights=None, survey="ztf")
    written = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey="ztf", nights=run.nights)
    total = written.agg(
        F.count("*").alias("objects"),
        F.sum("n_alerts").alias("alerts"),
        *(F.sum(F.size("points") - F.size(F.array_remove("points.kind", kind))).alias(f"{kind}s") for kind in ("detection", "limit")),
    ).collect()[0]  # one row: bounded
    run.counts.update({name: int(total[name] or 0) for name in ("alerts", "objects", "detections", "limits")})


def _alert_nights(run: Run) -> list[dt.date]:
    """Nights that have alerts: one row a night, bounded."""
    return [row["night"] for row in run.warehouse.read(ALERTS_ZTF).select("night").distinct().collect()]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "build_lightcurves", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
