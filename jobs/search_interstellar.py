"""Search the detections of a night for interstellar objects and bolides: tracklets, links over 15 nights with their orbits, single elongated events.

    spark-submit jobs/search_interstellar.py --night 2018-11-29

Reads alerts_ztf and the tracklets of the 14 nights before; replaces the night's slices of tracklets and interstellar_candidates. P(e > 1) is a reason to
look again, not a discovery: read it with the length of the arc.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence

from pyspark import StorageLevel
from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ALERTS_ZTF, INTERSTELLAR_CANDIDATES, TRACKLETS
from deeprubin_spark.searches import interstellar, moving_detections


def run(run: Run, arguments: argparse.Namespace) -> None:
    """The nights' tracklets first, then what they make with those of the nights before."""
    alerts = run.read(ALERTS_ZTF, nights=run.nights)
    # A few of a hundred alerts, asked three times.
    found = moving_detections.detections(alerts, run.settings.scoring).persist(StorageLevel.DISK_ONLY)
    if arguments.dry_run:
        print(f"  would search {found.count():,} detections, into {TRACKLETS.name} and {INTERSTELLAR_CANDIDATES.name}", file=sys.stderr)
        return
    run.replace_slice(TRACKLETS, moving_detections.tracklets(found), nights=run.nights, survey="ztf")
    before = run.nights[0] - dt.timedelta(days=interstellar.WINDOW_NIGHTS - 1)
    window = run.read(TRACKLETS, survey="ztf").where(F.col("night").between(F.lit(before), F.lit(run.nights[-1])))
    of_the_nights = window.where(F.col("night").isin(list(run.nights)))
    made = interstellar.orbits(window, run.nights).unionByName(interstellar.singles(found, of_the_nights))
    run.replace_slice(INTERSTELLAR_CANDIDATES, made, nights=run.nights, survey="ztf")
    written = run.warehouse.read(INTERSTELLAR_CANDIDATES, survey="ztf", nights=run.nights)
    counted = written.groupBy("kind", "status").count().collect()  # four rows: bounded
    kinds = {(row["kind"], row["status"]): row["count"] for row in counted}
    run.counts.update(alerts=alerts.count(), detections=found.count(), tracklets=of_the_nights.count())
    found.unpersist()
    for name, kind in (("links", "orbit"), ("single_events", "single")):
        run.counts[name] = kinds.get((kind, "candidate"), 0) + kinds.get((kind, "set_aside"), 0)
        run.counts[f"{name}_kept"] = kinds.get((kind, "candidate"), 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "search_interstellar", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
