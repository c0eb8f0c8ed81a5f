"""Write the page of a night, and print its summary: how it went, what was seen, what is strange, what it cost.

    spark-submit jobs/report_night.py --night 2018-11-29

Reads the tables of the night and the run log; writes <report.path>/<survey>_<night>.html, one page for each night that was run.
Of a range it prints a line a night, and the summary of the night with most alerts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.reporting import gathering, page, summary
from deeprubin_spark.runs import Run


def run(run: Run, arguments: argparse.Namespace) -> None:
    """One line a night on standard output, then the whole summary of the night with most alerts."""
    run.counts.update(alerts=0, pages=0)
    largest = None
    for facts in gathering.nights(run):
        if not facts.was_run:
            continue
        if arguments.dry_run:
            print(f"  would write {run.settings.report.path}/{page.file_name(facts)}", file=sys.stderr)
        else:
            text = page.page(facts, run.settings, gathering.parameters(run, facts.night, facts.night))
            where = page.write(run.settings.report.path, page.file_name(facts), text)
            if len(run.nights) > 1:
                print(summary.line(facts, run.settings, str(where)))
            if largest is None or facts.alerts > largest[0].alerts:
                largest = facts, str(where)
        run.counts["alerts"] += facts.alerts
        run.counts["pages"] += 1
    if largest:
        print(summary.summary(largest[0], run.settings, largest[1]))
    if not run.counts["pages"]:
        raise NoInputError(
            f"{run.survey} {run.nights[0]} to {run.nights[-1]}: expected a night that was run, found none; run `nightly` for it first"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "report_night", run, argv, cli.add_nights)


if __name__ == "__main__":
    sys.exit(main())
