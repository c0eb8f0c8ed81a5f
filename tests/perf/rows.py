"""A row of the bench: what is measured, on how many, beside which peer, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.perf.workplace import Workplace


@dataclass(frozen=True)
class Measured:
    """Cost of each of `n` alerts or objects, [core-us], ours and the peer's on the same ones; and how good the results are, by name."""

    core_us: float
    n: int
    peer_core_us: float | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times our cost the peer takes."""
        return None if self.peer_core_us is None else self.peer_core_us / self.core_us

    def as_dict(self) -> dict[str, Any]:
        """For the file of the baseline; four digits are more than a clock can tell."""
        rounded = {
            name: None if value is None else float(f"{value:.4g}") for name, value in asdict(self).items() if name.endswith("core_us")
        }
        ratio = None if self.ratio is None else float(f"{self.ratio:.4g}")
        return {**rounded, "ratio": ratio, "accuracy": {k: float(f"{v:.4g}") for k, v in self.accuracy.items()}, "n": self.n}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    each : what `n` counts, 'alert' or 'object'      peer : whose cost stands beside ours      measure : does it, in some seconds
    most_core_us, least_ratio, least, most : the bars; of `least` and `most`, by the names of `Measured.accuracy`
    """

    name: str
    what: str
    each: str
    measure: Callable[[Workplace], Measured]
    peer: str = ""
    most_core_us: float | None = None
    least_ratio: float | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    needs_data: bool = False

    def failures(self, found: Measured) -> list[str]:
        """The bars that were not reached, in words."""
        failed = []
        if self.most_core_us is not None and found.core_us > self.most_core_us:
            failed.append(f"{self.name}: {found.core_us:.1f} core-us per {self.each}, at most {self.most_core_us:g} allowed")
        if self.least_ratio is not None and (found.ratio is None or found.ratio < self.least_ratio):
            failed.append(f"{self.name}: {found.ratio or 0.0:.2f} times as fast as {self.peer}, at least {self.least_ratio:g} expected")
        for name, bar in self.least.items():
            if not found.accuracy[name] >= bar:
                failed.append(f"{self.name}: {name} {found.accuracy[name]:.4g}, at least {bar:g} expected")
        for name, bar in self.most.items():
            if not found.accuracy[name] <= bar:
                failed.append(f"{self.name}: {name} {found.accuracy[name]:.4g}, at most {bar:g} allowed")
        return failed
