"""The rule that makes a light curve of the points that packets told, in plain words of Python: what the compiled rule is held against."""

from __future__ import annotations

import datetime as dt
import itertools

from deeprubin_spark.schemas.lightcurves import POINT

_NAMES = [c.name for c in POINT]


def sort_key(point: dict) -> tuple:
    return tuple((point[name] is not None, point[name]) for name in _NAMES)


def plain_rule(points: list[dict], night: dt.date) -> list[dict]:
    """The rule of preprocessing/light_curves.py in words of Python."""
    known = [p for p in points if p["known_night"] <= night]
    return _preferred(_versions(known))


def _versions(known: list[dict]) -> list[dict]:
    chosen: dict[tuple, dict] = {}
    for p in known:
        sign = -1 if p["kind"] == "forced" else 1
        order = (p["source_id"] != p["packet_id"], sign * p["known_night"].toordinal(), sign * p["packet_id"], sort_key(p))
        identity = (p["kind"], p["exposure_mjd"], p["band"], p["source_id"])
        if identity not in chosen or order < chosen[identity][0]:
            chosen[identity] = (order, p)
    return [p for _, p in chosen.values()]


def _exposure(p: dict) -> tuple:
    return (p["kind"] == "forced", p["exposure_mjd"], p["band"])


def _preference(p: dict) -> tuple:
    rb = -1.0 if p["rb"] is None else p["rb"]
    return (p["kind"] == "limit", p["source_id"] != p["packet_id"], -rb, p["source_id"] or -1)


def _preferred(versions: list[dict]) -> list[dict]:
    kept = []
    for _, group in itertools.groupby(sorted(versions, key=_exposure), key=_exposure):
        ranked = sorted(group, key=_preference)
        kept += [p | {"same_exposure": i > 0} for i, p in enumerate(ranked) if i == 0 or p["kind"] != "limit"]
    return sorted(kept, key=sort_key)
