"""Where supernovae leave room for life: events of a night with their hosts and lethal distances, their rates, and rings of a disc like ours.

    spark-submit jobs/search_habitability.py --night 2018-11-29
    spark-submit jobs/search_habitability.py --nights 2018-11-01:2018-11-30

Reads scores and features; replaces the nights' slices of habitability_event, and what is said of all of them together, under the last one's date:
habitability_healpix, _rate and _ring; also habitability_nearby where it is not what the bundled catalogues say, which alone it depends on. Events are
candidates by their light curve.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark import StorageLevel
from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import (
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_NEARBY,
    HABITABILITY_RATE,
    HABITABILITY_RING,
    SCORES,
)
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.searches import habitability, supernova_events


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Events first; map, rates and rings from them and from all scores of the nights, of every model that scored them, by pixel of the sky."""
    rule, scores = rule_of(run.survey), run.read(SCORES, survey=run.survey, nights=run.nights)
    features = run.read(rule.table, survey=run.survey, nights=run.nights).where(F.col("feature_set") == rule.feature_set.name)
    if arguments.dry_run:
        print(f"  would look at {scores.count():,} scored or abstained objects for supernovae", file=sys.stderr)
        return
    # Read twice, and a map of probabilities is dear to read. Then counted, so that Spark knows how few have points to be looked at.
    kinds = scores.transform(supernova_events.with_kinds).persist(StorageLevel.DISK_ONLY)
    explosions = supernova_events.likely(kinds).persist(StorageLevel.DISK_ONLY)
    n_objects = kinds.count()
    explosions.count()
    run.replace_slice(HABITABILITY_EVENT, supernova_events.events(explosions, features), nights=run.nights, survey=run.survey)
    events = run.warehouse.read(HABITABILITY_EVENT, survey=run.survey, nights=run.nights)
    # From all scores, and read three times; a cached frame keeps its partitions, and these few rows need no more than one.
    pixels = habitability.pixels_of(kinds, run.nights).repartition(1).persist(StorageLevel.DISK_ONLY)
    together = (
        (HABITABILITY_HEALPIX, habitability.map_of(pixels, run.nights)),
        (HABITABILITY_RATE, habitability.rates_of(pixels, events, run.nights)),
        (HABITABILITY_RING, habitability.rings_of(pixels, events, run.nights)),
    )
    for table, rows in together:
        run.replace_slice(table, rows, nights=run.nights[-1:], survey=run.survey, first_night=run.nights[0].isoformat())
    for held in (pixels, explosions, kinds):
        held.unpersist()
    if not habitability.is_nearby(run.read(HABITABILITY_NEARBY)):
        run.replace_slice(HABITABILITY_NEARBY, habitability.nearby(run.session), nights=None)
    counted = events.agg(F.count("*").alias("events"), F.count("host_probability").alias("with_host")).collect()[0]  # one row: bounded
    run.counts.update({"objects": n_objects, **counted.asDict()})


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "search_habitability", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
