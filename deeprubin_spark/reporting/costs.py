"""What a night cost: wall-clock and CPU time of each step, and CPU time for each alert."""

from __future__ import annotations

from dataclasses import dataclass

from deeprubin_spark.reporting.facts import NightFacts, StepRun


@dataclass(frozen=True)
class Cost:
    """Cost of a step, or of all: `seconds` and `core_seconds` [s], `alerts` it worked on (None: not known for its nights)."""

    name: str
    seconds: float
    core_seconds: float
    alerts: int | None
    n_nights: int

    @property
    def core_us_per_alert(self) -> float | None:
        """[us] CPU time of the process tree for each alert; None without alerts."""
        return self.core_seconds / self.alerts * 1e6 if self.alerts else None


def costs(facts: NightFacts) -> tuple[Cost, ...]:
    """Cost of each step. A step that was run once for several nights has the alerts of them all."""
    return tuple(Cost(step.job, step.seconds, step.core_seconds, _alerts(facts, step), step.n_nights) for step in facts.steps)


def total(each: tuple[Cost, ...]) -> Cost | None:
    """The night's cost: the steps added up. None where there are no steps, or where they were run over different nights."""
    if not each or len({(cost.alerts, cost.n_nights) for cost in each}) > 1:
        return None
    seconds, core_seconds = sum(cost.seconds for cost in each), sum(cost.core_seconds for cost in each)
    return Cost("all steps", seconds, core_seconds, each[0].alerts, each[0].n_nights)


def _alerts(facts: NightFacts, step: StepRun) -> int | None:
    if step.n_nights == 1:
        return facts.alerts
    ingestion = facts.step("ingest_archive")
    if ingestion is None or (ingestion.first_night, ingestion.last_night, ingestion.n_nights) != (
        step.first_night,
        step.last_night,
        step.n_nights,
    ):
        return None
    return ingestion.counts.get("kept")
