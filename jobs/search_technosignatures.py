"""Search the stars of a night for technosignatures: seven tests of each light curve, the rate of false alarms, and what explains an odd star first.

    spark-submit jobs/search_technosignatures.py --night 2018-11-29
    spark-submit jobs/search_technosignatures.py --night 2018-11-29 --stars gaia_nearby.parquet

Tests: SETI Ellipsoids of SN 1987A and SN 2023ixf, Earth's transit zone, dips, opaque against dusty, levels, times of events, vanished stars. Distances are
those of known hosts of planets, and of the --stars that the Gaia archive gave you (source_id, ra, dec, parallax, parallax_error, pmra, pmdec, and
ref_epoch if it is not 2016; CSV with a header, or Parquet). Reads lightcurve_segments, features and scores; replaces the nights' slices of
technosignature_candidates. Rows are candidates by chance, never detections: natural explanations are not excluded. Look first at
false_alarms_per_10k_stars, which is counted on the same night's stars with their nights exchanged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark import StorageLevel
from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LIGHTCURVE_SEGMENTS, SCORES, TECHNOSIGNATURE_CANDIDATES
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.searches import star_catalogue, technosignatures


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Stars of the nights, their tests and ranks; a range of nights is one run over all of them."""
    rule = rule_of(run.survey)
    catalogue = star_catalogue.bundled(run.session)
    if arguments.stars:
        brought = star_catalogue.gaia_extract(run.session, arguments.stars)
        catalogue = catalogue.unionByName(star_catalogue.of_gaia(brought, run.nights[-1]))
    features = run.read(rule.table, survey=run.survey, nights=run.nights).where(F.col("feature_set") == rule.feature_set.name)
    if arguments.dry_run:
        print(f"  would test the stars of {features.count():,} objects, into {TECHNOSIGNATURE_CANDIDATES.name}", file=sys.stderr)
        return
    segments = run.read(LIGHTCURVE_SEGMENTS, survey=run.survey, nights=run.nights).where("ra IS NOT NULL AND dec IS NOT NULL")
    placed = segments.select("object_id", "night", "ra", "dec", F.col("healpix").alias("pixel"))
    # Counted first, so that Spark knows how few they are: it then need not move light curves to join them. A cached frame keeps its partitions.
    matched = star_catalogue.matches(placed, catalogue).repartition(1).persist(StorageLevel.DISK_ONLY)
    counts = {"objects": features.count(), "matched": matched.count()}
    found = technosignatures.candidates(features, matched, run.settings.scoring).persist(StorageLevel.DISK_ONLY)
    counts["stars"] = found.agg(F.sum("n")).collect()[0][0] or 0  # one row: bounded
    scores = run.read(SCORES, survey=run.survey, nights=run.nights)
    run.replace_slice(TECHNOSIGNATURE_CANDIDATES, technosignatures.ranked(found, scores), nights=run.nights, survey=run.survey)
    found.unpersist()
    matched.unpersist()
    written = run.warehouse.read(TECHNOSIGNATURE_CANDIDATES, survey=run.survey, nights=run.nights)
    by_status = {row["status"]: row["count"] for row in written.groupBy("status").count().collect()}  # three rows: bounded
    names = {"candidate": "candidates", "set_aside": "set_aside", "gated": "gated"}
    run.counts.update(counts | {name: by_status.get(status, 0) for status, name in names.items()})


def add_stars(made: argparse.ArgumentParser) -> None:
    """The flag of a star catalogue."""
    made.add_argument(
        "--stars", default="", metavar="PATH", help="stars with parallaxes, as the Gaia archive gives them: .csv, .csv.gz or Parquet"
    )


def _add_flags(made: argparse.ArgumentParser) -> None:
    cli.add_nights(made)
    add_stars(made)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "search_technosignatures", run, argv, _add_flags)


if __name__ == "__main__":
    sys.exit(main())
