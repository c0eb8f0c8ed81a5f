"""The generated parts of docs/performance.md, and its two plots, from baseline.json and ladder.json: `python -m tests.perf.report`.

ladder.json is written by the ladder command: a list of runs of a whole night, each

    {"form": "payloads" | "tar",             how the night's alerts came
     "alerts": 100000, "objects": 61000,     in the night, and touched by it
     "known_objects_in_warehouse": 1000000, "history_points": 52000000,        objects and points of the warehouse before the night
     "steps": {"ingest_archive": {"core_s": 12.3, "wall_s": 7.1}, ...},        in the night's order
     "total_core_s": 60.1, "fixed_core_s": 21.0,                               all steps; the same steps over a night of no alerts
     "searches_core_s": 40.2, "fixed_searches_core_s": 35.1,                   the searches among them
     "peak_rss_mb": 3100,                                                      of the process tree
     "fit_core_us": 30.1,                       what the machine took right after for a fit of the bench's light curves: how fast it was
     "tables": {"features": {"files": 7, "bytes": 205528706, "rows": 76471}, ...},                    what the night added
     "note": "...",                             what is to be known of it, by hand
     "fold": {"total_core_s": 90.1, "objects": 1011471, "bytes_before": ..., "bytes": ..., "files": 9},     of --fold: the new base
     "date": "2026-11-24", "machine": "..."}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.perf.bench import BASELINE, ROWS, STAGES
from tests.perf.rows import Row

DOCS = Path(__file__).parents[2] / "docs"
PAGE, LADDER = DOCS / "performance.md", Path(__file__).with_name("ladder.json")
STAGES_PLOT, LADDER_PLOT = DOCS / "performance_stages.svg", DOCS / "performance_ladder.svg"
NIGHT_ALERTS, NIGHTS = 10_000_000, 3_650  # Rubin's night, and ten years of them
_OURS, _PEERS, _INK = "#0072B2", "#E69F00", "#333333"  # Okabe & Ito 2008: told apart by colour-blind readers too
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "deeprubin",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_LINES = ("-", "--", "-.", ":")


def table(baseline: dict[str, Any]) -> str:
    """One line for each row of the bench, under the stage it belongs to."""
    if not baseline["rows"]:
        return "No row is recorded."
    lines = [
        *_measured_on(baseline["rows"].items()),
        "",
        "| row | what | core-us | at most | peer | its core-us | ratio | at least | accuracy | n |",
        "|---|---|--:|--:|---|--:|--:|--:|---|--:|",
    ]
    for stage, rows in STAGES.items():
        lines.append(f"| **{stage}** | | | | | | | | | |")
        lines += [_row(row, baseline["rows"].get(row.name)) for row in rows]
    return "\n".join(lines)


def _measured_on(rows: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """When and where: a sentence for most of the named rows, and one for each other run with the names of its rows."""
    runs: dict[tuple[str, str], list[str]] = {}
    for name, found in rows:
        runs.setdefault((found["date"], found["machine"]), []).append(name)
    most, *others = sorted(runs, key=lambda run: -len(runs[run]))
    lines = [f"Measured on {most[0]}: {most[1]}."]
    return lines + [f"{', '.join(runs[date, where])} on {date}: {where}." for date, where in others]


def ladder_table(runs: Sequence[dict[str, Any]]) -> str:
    """One line for each run of the ladder, cheapest night first; the last columns are core-us per alert of each step."""
    if not runs:
        return "No run is recorded."
    steps = list(dict.fromkeys(step for run in runs for step in run["steps"]))
    lines = [
        *_measured_on((f"{run['alerts']:,} {run['form']}", run) for run in runs),
        "`fixed` is what the same steps cost over a night of a hundred alerts.",
        "",
        "| form | alerts | objects | known objects | history points | core-us per alert | without fixed | fixed, core-s | wall, s | peak MB "
        "| a fit, core-us | searches, core-us per object without fixed | " + " | ".join(step.replace("_", " ") for step in steps) + " |",
        "|---|" + "--:|" * (11 + len(steps)),
    ]
    for run in sorted(runs, key=lambda run: (run["form"], run["history_points"], run["alerts"])):
        per_alert = 1e6 / max(run["alerts"], 1)
        wall = sum(cost["wall_s"] for cost in run["steps"].values())
        numbers = [
            f"{run['alerts']:,}",
            f"{run['objects']:,}",
            f"{run['known_objects_in_warehouse']:,}",
            f"{run['history_points']:,}",
            f"{run['total_core_s'] * per_alert:,.0f}",
            f"{(run['total_core_s'] - run['fixed_core_s']) * per_alert:,.0f}",
            f"{run['fixed_core_s']:,.1f}",
            f"{wall:,.0f}",
            f"{run['peak_rss_mb']:,.0f}",
            f"{run['fit_core_us']:.0f}" if "fit_core_us" in run else "",
            f"{_of_searches(run):.0f}" if "searches_core_s" in run else "",
            *(f"{run['steps'][step]['core_s'] * per_alert:,.0f}" if step in run["steps"] else "" for step in steps),
        ]
        lines.append(f"| {run['form']} | " + " | ".join(numbers) + " |")
    notes = [f"{run['alerts']:,} {run['form']}: {run['note']}" for run in runs if "note" in run]
    return "\n".join(lines + [line for note in notes for line in ("", note)])


def _of_searches(run: dict[str, Any]) -> float:
    """All searches for each object touched [core-us], without what they cost over a night of no alerts."""
    return float((run["searches_core_s"] - run["fixed_searches_core_s"]) * 1e6 / run["objects"])


def years_table(runs: Sequence[dict[str, Any]]) -> str:
    """One line for each table: what a night of `NIGHT_ALERTS` adds, by the largest night that was looked at, and what `NIGHTS` of them make."""
    looked_at = [run for run in runs if "tables" in run]
    if not looked_at:
        return "No night's files are recorded."
    run = max(looked_at, key=lambda run: (run["alerts"], run["history_points"]))
    lines = [
        f"By the files of the night of {run['alerts']:,} alerts.",
        "",
        f"| table | bytes an alert | rows a night | GB a night | files a night | TB in {NIGHTS:,} nights |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    share = NIGHT_ALERTS / run["alerts"]
    for name, added in sorted(run["tables"].items(), key=lambda item: -item[1]["bytes"]):
        if name != "runs":
            each, rows = added["bytes"] / run["alerts"], added["rows"] * share
            night = each * NIGHT_ALERTS
            lines.append(f"| {name} | {each:,.0f} | {rows:,.0f} | {night / 1e9:,.1f} | {added['files']:,} | {night * NIGHTS / 1e12:,.1f} |")
    return "\n".join(lines + _base_line(runs))


def _base_line(runs: Sequence[dict[str, Any]]) -> list[str]:
    """What folding makes of the segments."""
    run = next((run for run in runs if "fold" in run), None)
    if run is None:
        return []
    fold = run["fold"]
    each = (fold["bytes"] - fold["bytes_before"]) / run["alerts"]
    total = each * NIGHT_ALERTS * NIGHTS / 1e12
    return [
        f"| lightcurve_base, of folded segments | {each:,.0f} | | {each * NIGHT_ALERTS / 1e9:,.1f} | | {total:,.1f} |",
        "",
        f"A fold wrote {fold['objects']:,} objects of {run['history_points'] / run['known_objects_in_warehouse']:,.0f} points anew for "
        f"{fold['total_core_s'] / fold['objects'] * 1e6:,.0f} core-us each, {fold['total_core_s']:,.0f} core-s in all, into {fold['files']} files "
        f"of {fold['bytes'] / 1e9:,.1f} GB, and held {fold['peak_rss_mb']:,.0f} MB.",
    ]


def with_part(page: str, name: str, text: str) -> str:
    """The page with `text` between its markers of that name. ValueError where it has none."""
    begin, end = f"<!-- {name}: generated by python -m tests.perf.report -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"performance.md: expected the lines {begin} and {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def written(page: str) -> str:
    """The page with its generated parts made anew."""
    baseline, runs = _baseline(), recorded_nights()
    plot = f"\n\n![Cost of each stage beside its peer]({STAGES_PLOT.name})" if baseline["rows"] else ""
    page = with_part(page, "stages", table(baseline) + plot)
    plot = f"\n\n![Cost of an alert against the size of the night and of the history]({LADDER_PLOT.name})" if runs else ""
    page = with_part(page, "ladder", ladder_table(runs) + plot)
    return with_part(page, "ten years", years_table(runs))


def main() -> int:
    """Write the page, and the plots that there are numbers for."""
    PAGE.write_text(written(PAGE.read_text()))
    if _baseline()["rows"]:
        plot_stages(_baseline())
    if recorded_nights():
        plot_ladder(recorded_nights())
    return 0


def _baseline() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"rows": {}}
    return found


def recorded_nights() -> list[dict[str, Any]]:
    """What ladder.json holds."""
    found: list[dict[str, Any]] = json.loads(LADDER.read_text()) if LADDER.exists() else []
    return found


def _row(row: Row, found: dict[str, Any] | None) -> str:
    limit = f"{row.most_core_us:g}" if row.most_core_us is not None else ""
    least = f"{row.least_ratio:g}" if row.least_ratio is not None else ""
    if found is None:
        return f"| {row.name} | {row.what} | not run | {limit} | {row.peer} | | | {least} | | |"
    peer = "" if found["peer_core_us"] is None else f"{found['peer_core_us']:,g}"
    ratio = "" if found["ratio"] is None else f"{found['ratio']:,.3g}"
    accuracy = "; ".join(f"{name} {value:.2g}" for name, value in found["accuracy"].items())
    return f"| {row.name} | {row.what} | {found['core_us']:.3g} | {limit} | {row.peer} | {peer} | {ratio} | {least} | {accuracy} | {found['n']:,} |"


def plot_stages(baseline: dict[str, Any]) -> None:
    """A pair of bars for each row: ours and the peer's."""
    from matplotlib import pyplot as plt

    rows = [row for row in ROWS if row.name in baseline["rows"]][::-1]
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(8.0, 0.36 * len(rows) + 1.2), layout="constrained")
        for y, row in enumerate(rows):
            found = baseline["rows"][row.name]
            axes.barh(y + 0.2, found["core_us"], 0.38, color=_OURS, label="this project" if y == 0 else None)
            axes.text(found["core_us"] * 1.1, y + 0.2, f"{found['core_us']:.3g}", va="center", color=_INK, fontsize=7)
            if found["peer_core_us"] is not None:
                axes.barh(y - 0.2, found["peer_core_us"], 0.38, color=_PEERS, hatch="///", edgecolor="white", label=None)
                axes.text(
                    found["peer_core_us"] * 1.1, y - 0.2, f"{found['peer_core_us']:.3g} {row.peer}", va="center", color=_INK, fontsize=7
                )
            if row.most_core_us is not None:
                axes.plot([row.most_core_us] * 2, [y, y + 0.4], color=_INK, lw=1.5, label=None)
        axes.barh(0.0, 0.0, color=_PEERS, hatch="///", edgecolor="white", label="peer, same run")
        axes.plot([], [], color=_INK, lw=1.5, label="bar: at most")
        axes.set(xscale="log", yticks=range(len(rows)), yticklabels=[row.name for row in rows], ylim=(-0.6, len(rows) - 0.4))
        axes.set_xlim(1.0, 10.0 * axes.get_xlim()[1])
        axes.set_xlabel("CPU time for each alert or object [core-us]")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=3, frameon=False)
        _save(figure, STAGES_PLOT)


def plot_ladder(runs: Sequence[dict[str, Any]]) -> None:
    """Cost of an alert against the night's alerts, and against the points of the warehouse; thin lines are steps."""
    from matplotlib import pyplot as plt

    steps = list(dict.fromkeys(step for run in runs for step in run["steps"]))
    with plt.rc_context(_STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(10.0, 4.2), sharey=True, layout="constrained")
        for axes, x_name, label in zip(
            panels, ("alerts", "history_points"), ("alerts in the night", "points in the warehouse"), strict=True
        ):
            other = "history_points" if x_name == "alerts" else "alerts"
            for n, (form, series) in enumerate(_series(runs, x_name, other)):
                x = [run[x_name] for run in series]
                total = [run["total_core_s"] / run["alerts"] * 1e6 for run in series]
                held = f"{series[0][other]:,} {other.replace('_', ' ')}"
                axes.plot(x, total, "o" if form == "payloads" else "s", ls=_LINES[n % 4], color=_INK, label=f"{form}, {held}")
                for i, step in enumerate(steps if n == 0 else ()):
                    cost = [run["steps"].get(step, {"core_s": float("nan")})["core_s"] / run["alerts"] * 1e6 for run in series]
                    axes.plot(x, cost, ls=_LINES[i % 4], lw=1.0, color=plt.get_cmap("viridis")(i / max(len(steps), 2)), label=step)
            axes.set(xscale="log", yscale="log", xlabel=label)
            if x_name == "history_points":
                axes.set_xscale("symlog", linthresh=1e7)  # a warehouse without history belongs to the picture
            axes.legend(fontsize=6, frameon=False)
        panels[0].set_ylabel("CPU time for each alert [core-us]")
        _save(figure, LADDER_PLOT)


def _series(runs: Sequence[dict[str, Any]], x_name: str, other: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Runs of one form that differ in `x_name` and agree in `other`, where there are two or more; the longest series first."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["form"], run[other]), []).append(run)
    found = [(form, sorted(series, key=lambda run: run[x_name])) for (form, _), series in groups.items()]
    several = [entry for entry in found if len({run[x_name] for run in entry[1]}) > 1]
    return sorted(several, key=lambda entry: -len(entry[1]))


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure.patch.set_facecolor("white")  # whatever the page's colours are
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
