"""Did the night go well: what must hold, each a yes or a no with the numbers that decide it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from deeprubin_spark.reporting.facts import STEP_ORDER, NightFacts
from deeprubin_spark.settings import Settings

Verdict = Literal["passed", "failed", "open"]
# Where a packet of the night may end, as ingest_archive counts it.
_PACKET_ENDS = ("kept", "duplicates", "excluded", "quarantined", "other_night")


@dataclass(frozen=True)
class Check:
    """A condition and how it came out; 'open' where it cannot be judged yet. `query` names the SQL behind the numbers."""

    title: str
    verdict: Verdict
    detail: str
    query: str


def checks(facts: NightFacts, settings: Settings) -> tuple[Check, ...]:
    """All checks of a night, in the order of its steps."""
    makers: tuple[Callable[[], Iterator[Check]], ...] = (
        lambda: _steps(facts),
        lambda: _packets(facts, settings),
        lambda: _alerts(facts),
        lambda: _objects(facts),
        lambda: _fits(facts, settings),
    )
    return tuple(check for maker in makers for check in maker())


def verdict(made: tuple[Check, ...]) -> Verdict:
    """The night's: failed if any check failed, open if any is, else passed."""
    found = {check.verdict for check in made}
    return "failed" if "failed" in found else "open" if "open" in found else "passed"


def _steps(facts: NightFacts) -> Iterator[Check]:
    for failure in facts.failures:
        yield Check(f"{failure.job} ended well", "failed", f"exit code {failure.exit_code}: {failure.message or 'no message'}", "steps")
    missing = [job for job in STEP_ORDER if facts.step(job) is None]
    if missing:
        yield Check("Every step was run", "open", "no good run yet of " + ", ".join(missing), "steps")
        return
    steps = [step for step in facts.steps if step.job in STEP_ORDER]
    chain = [*zip(steps, steps[1:], strict=False), *((steps[-1], search) for search in facts.steps if search.job not in STEP_ORDER)]
    stale = [late.job for early, late in chain if late.started_at < early.finished_at and late.run_id != early.run_id]
    detail = f"older than what they read: {', '.join(stale)}; run them again" if stale else " → ".join(step.job for step in facts.steps)
    yield Check("Every step was run, each after the one it reads", "open" if stale else "passed", detail, "steps")


def _packets(facts: NightFacts, settings: Settings) -> Iterator[Check]:
    step = facts.step("ingest_archive")
    if step is None or "members" not in step.counts:
        return
    members = step.counts["members"]
    parts = {name: step.counts[name] for name in _PACKET_ENDS if name in step.counts}
    of_nights = f" (run over {step.n_nights} nights)" if step.n_nights > 1 else ""
    balances = sum(parts.values()) == members
    listing = " + ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in parts.items())
    yield Check(
        "Every packet is accounted for", _said(balances), f"{members:,} packets {'=' if balances else '≠'} {listing}{of_nights}", "steps"
    )
    bad, limit = parts.get("quarantined", 0), settings.ingest.max_bad_fraction
    share = bad / members if members else 0.0
    detail = f"{bad:,} of {members:,} in quarantine, {share:.1%}; the limit is {limit:.1%}{of_nights}"
    yield Check("Few packets are damaged", _said(share <= limit), detail, "quarantine")


def _alerts(facts: NightFacts) -> Iterator[Check]:
    step = facts.step("ingest_archive")
    if step is None or step.n_nights > 1 or "kept" not in step.counts or facts.step("build_lightcurves") is None:
        return
    kept = step.counts["kept"]
    same = kept == facts.alerts
    detail = f"{kept:,} alerts kept, {facts.alerts:,} in light curves"
    yield Check("Every alert kept is in a light curve", _said(same), detail, "objects")


def _objects(facts: NightFacts) -> Iterator[Check]:
    """Each later table must hold each object once: with a result, or with the reason why there is none."""
    ends = (
        ("extract_features", "features", facts.fits, "fits"),
        ("score_night", "scores", {"scored": facts.scored, **_without_result(facts.abstentions)}, "classes"),
        ("score_night", "anomalies", {"ranked": facts.ranked, **_without_result(facts.closed_gates)}, "gates"),
    )
    for job, table, parts, query in ends:
        if facts.step(job) is None:
            continue
        total = sum(parts.values())
        listing = " + ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in parts.items() if count) or "none"
        detail = f"{facts.objects:,} objects {'=' if total == facts.objects else '≠'} {listing}"
        yield Check(f"Every object is in {table}, with a result or a reason", _said(total == facts.objects), detail, query)


def _fits(facts: NightFacts, settings: Settings) -> Iterator[Check]:
    tried = sum(facts.fits.values()) - facts.fits.get("too_few_points", 0)
    if not tried:
        return
    failed = facts.fits.get("fit_failed", 0) + facts.fits.get("bad_input", 0)
    limit = settings.features.max_failed_fraction
    detail = f"{failed:,} of {tried:,} tried, {failed / tried:.1%}; the limit is {limit:.1%}"
    yield Check("Few fits failed", _said(failed / tried <= limit), detail, "fits")


def _without_result(reasons: dict[str, int]) -> dict[str, int]:
    """Objects without a result, together: the reasons have a table of their own."""
    return {"with a reason why not": sum(reasons.values())}


def _said(holds: bool) -> Verdict:
    return "passed" if holds else "failed"
