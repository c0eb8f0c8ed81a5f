"""What every job's command line has in common: flags, settings, session, run log, exit code.

A job is a module whose docstring is its help, with `run(run, arguments)` that does the work and `main(argv)` that calls `cli.job`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
import traceback
from collections.abc import Callable, Sequence

from deeprubin_spark import __version__, runs, spark
from deeprubin_spark import settings as settings_module
from deeprubin_spark.errors import DeepRubinError, UsageError
from deeprubin_spark.schemas.surveys import SURVEY_NAMES
from deeprubin_spark.tables import Warehouse

Step = Callable[[runs.Run, argparse.Namespace], None]
AddFlags = Callable[[argparse.ArgumentParser], object]
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_LONGEST_RANGE = 5000
_EXIT_CODES = (
    "exit codes: 0 done, 1 a bug, 2 wrong usage, 65 data not fit to publish, 66 nothing to read,\n"
    "            69 model missing or incompatible, 75 try again, 78 wrong setting or place"
)


def job(doc: str | None, name: str, step: Step, argv: Sequence[str] | None, add_flags: AddFlags | None = None) -> int:
    """Parse, resolve settings, open the session, run `step` under the run log. Returns the exit code; errors are one clear line."""

    def work() -> int:
        arguments = parser(doc, name, add_flags).parse_args(argv)
        settings = settings_module.load(arguments.env, arguments.set)
        return _in_session(name, step, arguments, settings)

    return _exit_code(name, work)


def job_without_session(
    doc: str | None, name: str, step: Callable[[argparse.Namespace], None], argv: Sequence[str] | None, add_flags: AddFlags
) -> int:
    """As `job`, for what needs neither Spark nor a warehouse."""

    def work() -> int:
        step(parser(doc, name, add_flags).parse_args(argv))
        return 0

    return _exit_code(name, work)


def _exit_code(name: str, work: Callable[[], int]) -> int:
    """What `work` returns, or the code of the error that it raised, which is told."""
    try:
        return work()
    except DeepRubinError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a wrong flag
        return int(stop.code or 0)
    except Exception:
        traceback.print_exc()
        print(f"{name}: this is a bug; please report it with the lines above", file=sys.stderr)
        return 1


def parser(doc: str | None, name: str, add_flags: AddFlags | None = None) -> argparse.ArgumentParser:
    """The flags of the job called `name`, its docstring as help."""
    made = argparse.ArgumentParser(
        prog=f"deeprubin-{name.replace('_', '-')}",
        description=(doc or "").strip(),
        epilog=_EXIT_CODES,
        formatter_class=_Help,
        allow_abbrev=False,
    )
    if add_flags:
        add_flags(made)
    made.add_argument("--env", default="", metavar="NAME", help="take conf/NAME.yml after conf/base.yml (directory: $DEEPRUBIN_CONF)")
    made.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting; may be repeated")
    made.add_argument("--dry-run", action="store_true", help="say what would be read and written, and write nothing")
    made.add_argument("--version", action="version", version=f"deeprubin-spark {__version__}")
    return made


def add_nights(made: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """The flags of every job of the night; returns the group that says which nights, for a job that knows another way."""
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("--night", dest="nights", type=_one_night, metavar="YYYY-MM-DD", help="one night (ZTF: UT date)")
    which.add_argument("--nights", dest="nights", type=_night_range, metavar="A:B", help="all nights from A to B, both included")
    listed = ", ".join(SURVEY_NAMES)
    made.add_argument("--survey", default="ztf", choices=SURVEY_NAMES, metavar="NAME", help=f"{listed} (default: ztf)")
    made.set_defaults(nights=())
    return which


def run_step(run: runs.Run, step: Step, arguments: argparse.Namespace) -> None:
    """Run `step` under the run log and print its line."""
    if arguments.dry_run:
        print(f"dry run of {run.job} {_span(run.nights)}: nothing is written", file=sys.stderr)
        step(run, arguments)
        return
    with runs.record(run):
        step(run, arguments)
    print(step_line(run), file=sys.stderr)


def step_line(run: runs.Run) -> str:
    """One line of the terminal summary: the step's ledger, seconds and cost per unit."""
    ledger = "  ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in run.counts.items())
    units = next(iter(run.counts.values()), 0)
    each = f"{run.core_seconds / units * 1e6:10,.0f} core-us each" if units else ""
    return f"  {run.job:<18} {ledger}  {run.seconds:.1f} s {each}"


def _in_session(name: str, step: Step, arguments: argparse.Namespace, settings: settings_module.Settings) -> int:
    with spark.session(settings.spark, name) as session:
        run = runs.Run(
            job=name,
            survey=getattr(arguments, "survey", ""),
            nights=getattr(arguments, "nights", ()),
            settings=settings,
            session=session,
            warehouse=Warehouse(session, settings.warehouse),
        )
        run_step(run, step, arguments)
    return 0


def _one_night(text: str) -> tuple[dt.date, ...]:
    return (date(text),)


def _night_range(text: str) -> tuple[dt.date, ...]:
    first, colon, last = text.partition(":")
    if not (first and colon and last):
        raise argparse.ArgumentTypeError(f"expected A:B, two dates like 2018-11-29, found {text!r}")
    start, end = date(first), date(last)
    n_nights = (end - start).days + 1
    if not 1 <= n_nights <= _LONGEST_RANGE:
        raise argparse.ArgumentTypeError(f"expected 1 to {_LONGEST_RANGE} nights, the first one first, found {text!r}")
    return tuple(start + dt.timedelta(days=i) for i in range(n_nights))


def date(text: str) -> dt.date:
    """An argument like 2018-11-29."""
    if not _DATE.match(text):
        raise argparse.ArgumentTypeError(f"expected a date like 2018-11-29, found {text!r}")
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no such date: {text!r}") from error


def _span(nights: Sequence[dt.date]) -> str:
    if not nights:
        return ""
    return str(nights[0]) if len(nights) == 1 else f"{nights[0]} to {nights[-1]}"


class _Help(argparse.RawDescriptionHelpFormatter):
    """Fixed width, so that the help is the same on every terminal and in the golden files."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=110, max_help_position=32)


def main(argv: Sequence[str] | None = None) -> int:
    """`deeprubin`: look at the warehouse and the installation.

    deeprubin sql [QUERY]   a Spark SQL prompt on the tables, or one result
    deeprubin settings      every setting with its value, default and meaning
    deeprubin self-test     what of the stack works here
    """
    from deeprubin_spark import prompt

    return prompt.main(argv)


if __name__ == "__main__":
    raise UsageError("use the `deeprubin` command, or python -m deeprubin_spark.jobs.<job>")
