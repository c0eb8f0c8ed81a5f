"""Write labelled light curves that were published as magnitudes.

    spark-submit jobs/ingest_magnitudes.py --survey ztf_labelled --light-curves bts.parquet --list bts.csv --labelled-on 2022-11-14

Light curves: object_id, time (MJD), mag, magerr, band. The list: objectId, source, label (ra, dec), or a table of ZTF's Bright Transient Survey (ZTFID, type,
RA, Dec), or of SDSS Stripe 82's RR Lyrae (Num, Type, Per). Replaces that survey of lightcurve_segments, and merges the types into labels. Next:
extract_features --survey ztf_labelled --night 2022-11-14.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.ingestion import magnitudes, published_points
from deeprubin_spark.runs import Run

SURVEYS = ("ztf_labelled", "sdss_labelled")


def run(run: Run, arguments: argparse.Namespace) -> None:
    """Write the light curves and the labels."""
    found = magnitudes.published(
        run.session, run.survey, arguments.light_curves, arguments.list, arguments.labelled_on, arguments.of_the_star
    )
    if arguments.dry_run:
        print(found.plan(), file=sys.stderr)
        return
    published_points.write(run, found)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which light curves, which list, of what day."""
    made.add_argument("--light-curves", required=True, metavar="PATH", help="Parquet or CSV: object_id, time, mag, magerr, band")
    made.add_argument("--list", required=True, metavar="PATH", help="Parquet or CSV: what the objects are")
    made.add_argument("--labelled-on", required=True, type=cli.date, metavar="YYYY-MM-DD", help="day the list was made")
    made.add_argument("--of-the-star", action="store_true", help="magnitudes of the star itself: its median flux is the reference")
    made.add_argument("--survey", required=True, choices=SURVEYS, help="survey to write")
    made.set_defaults(nights=(magnitudes.NIGHT,))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "ingest_magnitudes", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
