"""Vote on the anomalies of a night: one by its id, or the first of them one after the other on the terminal.

    spark-submit jobs/vote.py --night 2018-11-29
    spark-submit jobs/vote.py --night 2018-11-29 --object ZTF18abvethj --vote yes --note "a dip, not periodic"

Without --object it shows, in the order of anomaly_ranks or else of anomalies, each object on which the voter has not voted, and reads y, n, s (skip) or q
(quit). Votes go to feedback, also those given before an interruption; a voter's second vote on an object replaces the first. rerank_anomalies makes the new
order.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence

from deeprubin_spark import cli
from deeprubin_spark.errors import UsageError
from deeprubin_spark.models import published
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import FEEDBACK
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.searches import voting


def run(run: Run, arguments: argparse.Namespace) -> None:
    """One vote, or as many as the voter gives."""
    if bool(arguments.object) != bool(arguments.vote):
        raise UsageError("--object and --vote go together; leave both out to be asked about one object after the other")
    settings, voter = run.settings.scoring, arguments.voter or getpass.getuser()
    version = published.find(settings.models_path, rule_of(run.survey).contract, settings.model).name
    if arguments.object:
        night = voting.night_of(run, version, arguments.object)
        votes = [voting.Vote(arguments.object, night, voting.ANSWERS[arguments.vote], arguments.note or None)]
        if not arguments.dry_run:
            voting.record(run, votes, voter)
        return
    shown = voting.unvoted(run, version, voter, arguments.most)
    if arguments.dry_run:
        print("\n".join(voting.described(one) for one in shown), file=sys.stderr)
        print(f"  would ask {voter} about {len(shown):,} objects ranked by {version}, into {FEEDBACK.name}", file=sys.stderr)
        return
    votes = []
    try:
        votes.extend(voting.asked(shown, input, lambda text: print(text, file=sys.stderr)))
    finally:  # whatever ends it costs no vote
        voting.record(run, votes, voter)


def add_flags(made: argparse.ArgumentParser) -> None:
    """Which nights; which object and what of it, or how many are shown; who votes."""
    cli.add_nights(made)
    made.add_argument("--object", default="", metavar="ID", help="vote on this object alone; it must be ranked in anomalies")
    made.add_argument("--vote", choices=("yes", "no"), help="whether it is an anomaly")
    made.add_argument("--note", default="", metavar="TEXT", help="words to keep with the vote")
    made.add_argument("--voter", default="", metavar="NAME", help="who votes (default: the login name)")
    made.add_argument("--most", type=int, default=100, metavar="N", help="show so many at most (default: 100)")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this job."""
    return cli.job(__doc__, "vote", run, argv, add_flags)


if __name__ == "__main__":
    sys.exit(main())
