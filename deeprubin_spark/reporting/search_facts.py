"""What the page says of a night's searches, as plain values made from the rows that `search_queries` return."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deeprubin_spark.schemas.features import GRID_COLUMNS
from deeprubin_spark.schemas.packed_points import model_point_rows

Rows = Sequence[dict[str, Any]]
_TOLD = ("rank", "object_id", "ra", "dec", "why", "natural_explanation", "would_confirm", "would_refute")


@dataclass(frozen=True)
class Candidate:
    """One of a ranking: why it is there, what explains it first, what would decide, and what is drawn of it.

    Points and grids are those of `features`, in nJy and days; observations those of `tracklets`, in time.
    """

    rank: int
    object_id: str
    ra: float | None
    dec: float | None
    why: str
    natural_explanation: str
    would_confirm: str
    would_refute: str
    t_ref_mjd: float | None = None
    grid_time: tuple[float, ...] = ()
    grid_mean: tuple[float, ...] = ()
    grid_sd: tuple[float, ...] = ()
    points: tuple[dict[str, Any], ...] = ()
    observations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Search:
    """A search's ranking as far as it is shown, how many candidates there are in all, and how many were set aside for which reasons."""

    candidates: tuple[Candidate, ...] = ()
    n_candidates: int = 0
    set_aside: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ring:
    """A ring of a disc like the Milky Way's: radius [kpc], P that a supernova harms life there in 1 Gyr with its 16 and 84 %, index of habitability."""

    radius: float
    p_kill: float
    low: float
    high: float
    index: float
    seen: float


@dataclass(frozen=True)
class Disc:
    """What nights looked at together say of supernovae: expected numbers by HEALPix cell (order 4, nested), and the rings of a disc."""

    first_night: dt.date
    last_night: dt.date
    cells: dict[int, float]
    rings: tuple[Ring, ...]


@dataclass(frozen=True)
class Match:
    """An object at the place of a known strange one; `class_name` is our own opinion, which the match does not change."""

    object_id: str
    catalogue: str
    name: str
    type: str
    separation_arcsec: float
    status: str
    class_name: str | None
    p_class: float | None


@dataclass(frozen=True)
class Searches:
    """All of a night. Tracklets are counted by whether a known body made them."""

    habitability: Search = field(default_factory=Search)
    technosignatures: Search = field(default_factory=Search)
    interstellar: Search = field(default_factory=Search)
    disc: Disc | None = None
    tracklets: int = 0
    known_tracklets: int = 0
    matches: tuple[Match, ...] = ()
    n_matches: int = 0


def searches_of(mine: Mapping[str, Rows], everything: Mapping[str, Rows], night: dt.date, model_version: str | None) -> Searches:
    """One night's. `mine`: query name -> its rows of the night; `everything`: those of all nights asked for, of which maps may reach over several."""
    found = {name: _search(name, mine, model_version) for name in ("habitability", "technosignatures", "interstellar")}
    tracklets = {row["status"]: row["n"] for row in mine["outcomes"] if row["search"] == "tracklets"}
    return Searches(
        **found,
        disc=_disc(everything["habitability_map"], everything["rings"], night, model_version),
        tracklets=sum(tracklets.values()),
        known_tracklets=tracklets.get("known", 0),
        matches=_matches(mine["matches"], model_version),
        n_matches=max((row["n_all"] for row in mine["matches"]), default=0),
    )


def _search(name: str, mine: Mapping[str, Rows], model_version: str | None) -> Search:
    def is_shown(row: dict[str, Any]) -> bool:
        return row["model_version"] in (None, model_version)

    set_aside: Counter[str] = Counter()
    n_candidates = 0
    for row in filter(is_shown, mine["outcomes"]):
        if row["search"] == name and row["status"] == "candidate":
            n_candidates += row["n"]
        elif row["search"] == name:
            set_aside[row["reason"] or "unknown"] += row["n"]
    return Search(tuple(_candidate(row) for row in filter(is_shown, mine[name])), n_candidates, dict(set_aside.most_common()))


def _candidate(row: dict[str, Any]) -> Candidate:
    told: dict[str, Any] = {name: row[name] for name in _TOLD}
    if "observations" in row:
        seen = sorted(row["observations"] or (), key=lambda one: one["mjd"])
        return Candidate(**told, observations=tuple(seen))
    return Candidate(**told, **drawn_of(row))


def drawn_of(row: dict[str, Any]) -> dict[str, Any]:
    """What is drawn of an object, from its columns of `features`: reference time, grids, points; nothing where there is no such row."""
    grids = {name: tuple(np.frombuffer(row[name] or b"", "<f4").tolist()) for name in GRID_COLUMNS}
    return {"t_ref_mjd": row["t_ref_mjd"], **grids, "points": tuple(model_point_rows(row["points"] or b""))}


def _disc(cells: Rows, rings: Rows, night: dt.date, model_version: str | None) -> Disc | None:
    """That of the longest range of nights which `night` is in, the latest of equally long ones: more nights say more."""

    def is_of_night(row: dict[str, Any]) -> bool:
        return bool(row["model_version"] == model_version and row["first_night"] <= night <= row["night"])

    ranges = {(row["first_night"], row["night"]) for rows in (cells, rings) for row in rows if is_of_night(row)}
    if not ranges:
        return None
    first, last = max(ranges, key=lambda ends: (ends[1] - ends[0], ends))

    def is_chosen(row: dict[str, Any]) -> bool:
        return is_of_night(row) and (row["first_night"], row["night"]) == (first, last)

    made = [
        Ring(row["radius_kpc"], row["p_kill_1gyr"], row["p_kill_1gyr_lo"], row["p_kill_1gyr_hi"], row["ghz_index"], row["seen"])
        for row in filter(is_chosen, rings)
    ]
    expected = {row["cell"]: row["expected"] for row in filter(is_chosen, cells)}
    return Disc(first, last, expected, tuple(sorted(made, key=lambda ring: ring.radius)))


def _matches(rows: Rows, model_version: str | None) -> tuple[Match, ...]:
    """Each match once, in order, with the class that the night's model gives the object, if it does."""
    found: dict[tuple[str, str, str], Match] = {}
    for row in rows:
        key = row["object_id"], row["catalogue"], row["name"]
        if row["model_version"] == model_version:
            found[key] = Match(*key, row["type"], row["separation_arcsec"], row["status"], row["class"], row["p_class"])
        else:
            found.setdefault(key, Match(*key, row["type"], row["separation_arcsec"], row["status"], None, None))
    return tuple(found.values())
