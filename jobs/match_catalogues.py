"""Match the objects of a night by position with bundled catalogues of strange objects: SNAD's anomalies, tidal disruption events, blazars, stars that flare.

    spark-submit jobs/match_catalogues.py --night 2018-11-29

Reads scores; replaces the nights' slices of catalogue_matches. Within 3 arcsec an entry is a match, or ambiguous where there are several entries or objects.
A match says where an object is, not what: classes, ranks and searches do not know of it. Nothing is asked of any server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import CATALOGUE_MATCHES, SCORES
from deeprubin_spark.searches import catalogue_matches


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Every object that a model saw, scored or not."""
    scores = run.read(SCORES, survey=run.survey, nights=run.nights)
    if arguments.dry_run:
        print(f"  would match {scores.count():,} scored or abstained objects, into {CATALOGUE_MATCHES.name}", file=sys.stderr)
        return
    run.replace_slice(CATALOGUE_MATCHES, catalogue_matches.matches(scores), nights=run.nights, survey=run.survey)
    written = run.warehouse.read(CATALOGUE_MATCHES, survey=run.survey, nights=run.nights)
    by_status = {row["status"]: row["count"] for row in written.groupBy("status").count().collect()}  # two rows: bounded
    # Several models may have scored an object; the newest saw all of the night.
    seen = scores.groupBy("night", "model_version").count().groupBy("night").agg(F.max("count").alias("objects"))
    objects = seen.agg(F.sum("objects")).collect()[0][0]  # one row: bounded
    run.counts.update({"objects": objects or 0, "matches": by_status.get("match", 0), "ambiguous": by_status.get("ambiguous", 0)})


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "match_catalogues", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
