"""The night on a terminal: the ledger, what was seen, what is strange, what it cost, and where the page is."""

from __future__ import annotations

from collections.abc import Iterator

from deeprubin_spark.reporting.checks import checks, verdict
from deeprubin_spark.reporting.costs import costs, total
from deeprubin_spark.reporting.facts import SEARCH_ORDER, NightFacts, Strange
from deeprubin_spark.settings import Settings

_WIDTH = 100
_TOP_CLASSES = 8
_TOP_STRANGE = 5


def summary(facts: NightFacts, settings: Settings, page: str) -> str:
    """Lines for standard output, without control characters, whatever the tables hold. `page`: where the page is."""
    lines = [
        *_head(facts),
        *_steps(facts),
        *_problems(facts, settings),
        *_seen(facts),
        *_strange(facts),
        *_searches(facts),
        *_cost(facts),
        f"  page      {page}",
    ]
    return "\n".join(_printable(line).rstrip() for line in lines)


def line(facts: NightFacts, settings: Settings, page: str) -> str:
    """The night in one line, for a range of nights."""
    state = verdict(checks(facts, settings))
    seen = f"{facts.alerts:>7,} alerts  {facts.objects:>7,} objects  {facts.scored:>6,} classified"
    return _printable(f"night {facts.night}  {facts.survey}  {state:<6}  {seen}  {page}")


def _head(facts: NightFacts) -> Iterator[str]:
    left = f"night {facts.night}  {facts.survey}"
    last = facts.steps[-1] if facts.steps else None
    run = f"run {(last.parent_run_id or last.run_id)[:6]}" if last else ""
    yield f"{left}{run:>{_WIDTH - len(left)}}"


def _steps(facts: NightFacts) -> Iterator[str]:
    each = {cost.name: cost for cost in costs(facts)}
    for step in facts.steps:
        ledger = "  ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in step.counts.items() if count) or "nothing"
        per_alert = each[step.job].core_us_per_alert
        price = "" if per_alert is None else f"{per_alert:>12,.0f} core-us an alert"
        yield f"  {step.job:<18} {ledger:<58} {step.seconds:>7.1f} s{price}"


def _problems(facts: NightFacts, settings: Settings) -> Iterator[str]:
    made = checks(facts, settings)
    for check in made:
        if check.verdict != "passed":
            yield f"  {'FAILS' if check.verdict == 'failed' else 'open':<9} {check.title}: {check.detail}"
    if made and verdict(made) == "passed":
        yield f"  checks    all {len(made)} hold"


def _seen(facts: NightFacts) -> Iterator[str]:
    if not facts.outcomes:
        yield f"  classes   {'no alerts this night' if not facts.alerts else 'no scores for this night yet'}"
        return
    top = list(facts.classes.items())
    more = f"  and {len(top) - _TOP_CLASSES} more" if len(top) > _TOP_CLASSES else ""
    yield (
        "  classes   "
        + ("  ".join(f"{name} {count:,}" for name, count in top[:_TOP_CLASSES]) or "none")
        + more
        + "   (network trained on simulated data)"
    )
    if facts.abstentions:
        yield "  without   " + "  ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in facts.abstentions.items())


def _strange(facts: NightFacts) -> Iterator[str]:
    for number, one in enumerate(facts.strange[:_TOP_STRANGE]):
        yield f"  {'strange' if number == 0 else '':<9} {one.rank:>2}  {one.object_id:<14} {_oddity(one)}  {one.explanation or ''}"[
            : _WIDTH + 20
        ]


def _searches(facts: NightFacts) -> Iterator[str]:
    found = facts.searches
    if any(step.job in SEARCH_ORDER for step in facts.steps):
        each = {
            "explosions": found.habitability.n_candidates,
            "odd stars": found.technosignatures.n_candidates,
            "moving": found.interstellar.n_candidates,
            "at known places": found.n_matches,
        }
        yield "  searches  " + "  ".join(f"{name} {count:,}" for name, count in each.items()) + "   (candidates, never detections)"


def _oddity(one: Strange) -> str:
    score = "     " if one.score is None else f"{one.score:.3f}"
    return f"{score}  {one.class_name or 'no class':<12}"


def _cost(facts: NightFacts) -> Iterator[str]:
    night = total(costs(facts))
    if night is not None:
        price = "" if night.core_us_per_alert is None else f", {night.core_us_per_alert:,.0f} core-us an alert"
        yield f"  cost      {night.seconds:.1f} s, {night.core_seconds:.1f} core-s{price}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
