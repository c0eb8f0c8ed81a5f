"""The sections of the page of results that tell how well the searches find what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deeprubin_spark.reporting.markdown import cell

Result = Mapping[str, Any]


def search_section(result: Result) -> str:
    """A search's numbers, as Markdown. KeyError for a search that is not known."""
    return "\n".join([*_SECTIONS[result["search"]](result), "", _origin(result), ""])


def _interstellar(result: Result) -> list[str]:
    every, alarms, theirs = result["all_windows"], result["false_alarms"], result["fink_fat"]
    shuffled = every["shuffled_nights"]
    kinds = ((name, of["bodies"], of["linked"], of["flagged"]) for name, of in every["by_kind"].items())
    return [
        "## Interstellar objects: made-up bodies at real exposures",
        "",
        f"Bodies with pairs on three nights or more, put among the real detections of {len(result['linking'])} windows of 15 nights of ZTF. *Linked*: found as "
        "a link of their own detections alone; *candidate*: P(e > 1.02) above 0.95 and faster than 5 km/s far from the Sun. 1I, 2I and 3I have the published "
        "orbits with other times of perihelion.",
        "",
        *_table(("bodies", "made up", "linked", "candidates"), kinds),
        "",
        *_table(
            ("quantity", "number"),
            (
                ("recall of links, bound", _percent(every["recall_of_links_bound"])),
                ("recall of links, unbound", _percent(every["recall_of_links_unbound"])),
                ("purity of links with a made-up body", _percent(every["purity_of_links"])),
                ("unbound bodies that are candidates", _percent(every["recall_of_candidates_unbound"])),
                ("candidates among bound bodies of the windows", _percent(every["flagged_share_of_bound"])),
                (
                    f"candidates among {alarms['bodies']:,} bound bodies, arcs of {alarms['median_arc_days']:.1f} d",
                    f"{alarms['flagged']:,}",
                ),
                (f"links of {shuffled['tracklets']:,} tracklets, nights turned about the pole", f"{shuffled['links']:,}"),
                ("candidates among those", f"{shuffled['flagged']:,}"),
                ("cost of linking [core-us a tracklet]", f"{every['core_us_per_tracklet']:,}"),
            ),
        ),
        "",
        f"Fink-FAT's {theirs['trajectories']:,} trajectories: {theirs['fitted_rms_below_1_arcsec']:,} fit to better than 1 arcsec, median rms "
        f"{theirs['median_rms']:.2f} arcsec; of the {theirs['with_published_errors']:,} orbits with published errors "
        + ", ".join(f"{share:.0%} agree within three of them in {name}" for name, share in theirs["within_3_published_errors"].items())
        + f"; {theirs['candidates_by_our_rule']} would be candidates.",
    ]


def _technosignatures(result: Result) -> list[str]:
    natural = (
        (
            of["kind"],
            of["stars"],
            of["rows"],
            of["explained_by_period"],
            of["candidates"],
            _number(of["first_rank"]),
            _number(of["median_rank"]),
            _number(of["median_false_alarms_per_10k_stars"]),
        )
        for of in result["natural"]
    )
    sizes = sorted({row["amplitude_sigma"] for row in result["shapes"]})
    shapes = dict.fromkeys((row["shape"], row["test"]) for row in result["shapes"])
    found = {(row["shape"], row["amplitude_sigma"]): row for row in result["shapes"]}
    levels = [name for name in result["chances_of_stars_with_nights_exchanged"][0] if name.startswith("at_most_")]
    calibrated = (
        (of["test"], of["tried"], *(_number(of[level]) for level in levels)) for of in result["chances_of_stars_with_nights_exchanged"]
    )
    return [
        "## Technosignatures: what natural stars look like, and how strong a shape must be",
        "",
        f"Made-up natural stars at the real epochs of {result['cadences']:,} light curves, {result['stars']:,} of them seen; a row is a star that a test finds "
        "odd, a candidate one that no period explains. Ranks among all candidates of this sky, where everything is natural: a first rank of 1 means that the "
        "list of a night is headed by such stars.",
        "",
        *_table(
            (
                "natural stars",
                "stars",
                "rows",
                "explained by a period",
                "candidates",
                "first rank",
                "median rank",
                "false alarms per 10^4, median",
            ),
            natural,
        ),
        "",
        "Share found by its own test (in brackets: rarer than ten false alarms in 10^4 natural stars), by height in errors:",
        "",
        *_table(
            ("shape", "test", *(f"{size:g}" for size in sizes)),
            (
                (shape, test, *(f"{found[shape, size]['by_own_test']:.2f} ({found[shape, size]['rare']:.2f})" for size in sizes))
                for shape, test in shapes
            ),
        ),
        "",
        "Null of exchanged nights: share of stars whose chance is at most the level.",
        "",
        *_table(("test", "tried", *(level.removeprefix("at_most_") for level in levels)), calibrated),
    ]


_SECTIONS = {"interstellar": _interstellar, "technosignatures": _technosignatures}


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|", *(f"| {' | '.join(cell(_text(one)) for one in row)} |" for row in rows)]


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _origin(result: Result) -> str:
    return f"- `{result['command']}`, commit {result['commit'][:12]}, data {result['data_sha256'][:12]}, seed {result['seed']}"
