"""The sections of the page of results that tell how the searches were judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deeprubin_spark.reporting.markdown import cell, table

Rows = Sequence[Mapping[str, Any]]

_KINDS = {
    "kind": "kind",
    "stars": "stars seen",
    "rows": "rows",
    "explained_by_period": "of these by a period",
    "candidates": "candidates",
    "first_rank": "first rank",
    "median_rank": "median rank",
    "median_false_alarms_per_10k_stars": "median false alarms per 10^4",
}
_TOLD = """\
Made-up stars at the epochs and with the errors of {cadences} real ZTF objects; what is below 5 sigma is an upper limit, as in the archive. A row has a
chance of at most 1 % after look-elsewhere, or is a star that is gone; false alarms are counted on the {stars:,} natural stars below with their nights
exchanged. No class is asked, and stars that never vary are not seen. Natural stars, equally many of each kind, ranked together:"""
_CALIBRATION = "Share of stars with nights exchanged whose chance is at most the column's; colours and levels do not change by it: those are the stars' own."
_SHAPES = "By amplitude in errors: share of stars that the shape's test finds at 1 %, in brackets the share that gets a row by any."


def technosignatures_section(result: Mapping[str, Any]) -> str:
    """What `study_technosignatures` found, as Markdown."""
    levels = [name for name in result["chances_of_stars_with_nights_exchanged"][0] if name.startswith("at_most_")]
    calibration = {"test": "test", "tried": "stars tried", **{name: name.removeprefix("at_most_") for name in levels}}
    kinds = [row | {"by": ", ".join(f"{test} {n:,}" for test, n in row["best_tests"].items())} for row in result["natural"]]
    return "\n".join(
        [
            "## Technosignatures: natural stars, false alarms, shapes",
            "",
            _TOLD.format(**result),
            "",
            *_table(_KINDS | {"by": "rows by test"}, kinds),
            "",
            _CALIBRATION,
            "",
            *_table(calibration, result["chances_of_stars_with_nights_exchanged"]),
            "",
            _SHAPES,
            "",
            *_shapes(result["shapes"]),
            "",
            _origin(result),
            "",
        ]
    )


def interstellar_section(result: Mapping[str, Any]) -> str:
    """What `study_interstellar` found, as Markdown."""
    every, alarms, theirs = result["all_windows"], result["false_alarms"], result["fink_fat"]
    shuffled = every["shuffled_nights"]
    kinds = [
        {"bodies": name, "made up": of["bodies"], "linked": of["linked"], "candidates": of["flagged"]}
        for name, of in every["by_kind"].items()
    ]
    lines = [
        "## Interstellar objects: made-up bodies at real exposures",
        "",
        f"Bodies with pairs on three nights or more, put among the real detections of {len(result['linking'])} windows of 15 nights of ZTF. *Linked*: found as "
        "a link of their own detections alone; *candidate*: P(e > 1.02) above 0.95 and faster than 5 km/s far from the Sun. 1I, 2I and 3I have the published "
        "orbits with other times of perihelion.",
        "",
        *_table({name: name for name in ("bodies", "made up", "linked", "candidates")}, kinds),
        "",
        *_named(
            [
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
            ]
        ),
        "",
        f"Fink-FAT's {theirs['trajectories']:,} trajectories: {theirs['fitted_rms_below_1_arcsec']:,} fit to better than 1 arcsec, median rms "
        f"{theirs['median_rms']:.2f} arcsec; of the {theirs['with_published_errors']:,} orbits with published errors "
        + ", ".join(f"{share:.0%} agree within three of them in {name}" for name, share in theirs["within_3_published_errors"].items())
        + f"; {theirs['candidates_by_our_rule']} would be candidates.",
    ]
    return "\n".join([*lines, "", _origin(result), ""])


def search_section(result: Mapping[str, Any]) -> str:
    """The section of a search's result. KeyError for a search that is not known."""
    return {"technosignatures": technosignatures_section, "interstellar": interstellar_section}[result["search"]](result)


def _origin(result: Mapping[str, Any]) -> str:
    return f"- `{result['command']}`, commit {result['commit'][:12]}, data {result['data_sha256'][:12]}, seed {result['seed']}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _named(numbers: Sequence[tuple[str, str]]) -> list[str]:
    return _table({"quantity": "quantity", "number": "number"}, [{"quantity": name, "number": number} for name, number in numbers])


def _shapes(rows: Rows) -> list[str]:
    """A line a shape, a column an amplitude."""
    amplitudes = list(dict.fromkeys(row["amplitude_sigma"] for row in rows))
    found = {(row["shape"], row["amplitude_sigma"]): f"{row['by_own_test']:.2f} ({row['rows']:.2f})" for row in rows}
    tests = {row["shape"]: row["test"] for row in rows}
    columns = {"shape": "shape", "test": "test", **{f"{size:g}": f"{size:g} sigma" for size in amplitudes}}
    return _table(
        columns, [{"shape": shape, "test": test, **{f"{a:g}": found[shape, a] for a in amplitudes}} for shape, test in tests.items()]
    )


def _table(columns: Mapping[str, str], rows: Rows) -> list[str]:
    """Columns by their key in the rows; nothing where a value is missing."""
    return table([*columns.values()], (["" if row[key] is None else cell(_text(row[key])) for key in columns] for row in rows))


def _text(value: float | str) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else value
