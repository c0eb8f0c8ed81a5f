"""Pictures of an evaluation: estimates with their intervals, as lines or as points, on one kind of panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from markupsafe import Markup

from deeprubin_spark.reporting import svg
from deeprubin_spark.reporting.band_style import Marker

_HEIGHT = 262.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 54.0, 12.0, 12.0, 42.0
# Colours and markers of series, in their order: those of bands g, r, i, which a colour-blind eye tells apart; the marker says it again.
SERIES_STYLES: tuple[tuple[str, Marker], ...] = (("#3f83d8", "circle"), ("#d9601a", "square"), ("#0a9671", "diamond"))


class Estimate(NamedTuple):
    """A point of a picture: y with the ends of its interval, None where it has none."""

    x: float
    y: float
    low: float | None
    high: float | None
    told: str


@dataclass(frozen=True)
class Series:
    """What belongs together, drawn as a line through markers or as markers alone."""

    name: str
    estimates: Sequence[Estimate]
    drawn: Literal["line", "points"] = "line"


@dataclass(frozen=True)
class Axis:
    """The range of an axis, its name, and its ticks with their texts."""

    label: str
    range: tuple[float, float]
    ticks: Sequence[tuple[float, str]]


SHARE = tuple((i / 5.0, f"{i / 5.0:.1f}") for i in range(6))


def chart(description: str, x: Axis, y: Axis, series: Sequence[Series], width: float = 460.0) -> Markup:
    """Series over two axes; a y that is beyond the axis is drawn at its end."""
    root = svg.drawing(width, _HEIGHT, description)
    panel = svg.Panel(_LEFT, _TOP, width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM, x.range, y.range)
    panel.axes(root, x.label, y.label, x.ticks, y.ticks)
    for number, one in enumerate(series):
        _draw(root, panel, one, number)
    return svg.markup(root)


def diagonal_chart(description: str, x: Axis, y: Axis, series: Sequence[Series], width: float = 262.0) -> Markup:
    """`chart` with the line on which y is x."""
    root = svg.drawing(width, _HEIGHT, description)
    panel = svg.Panel(_LEFT, _TOP, width - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM, x.range, y.range)
    panel.axes(root, x.label, y.label, x.ticks, y.ticks)
    svg.add(root, "line", x1=panel.x(0.0), y1=panel.y(0.0), x2=panel.x(1.0), y2=panel.y(1.0), class_="axis dashed")
    for number, one in enumerate(series):
        _draw(root, panel, one, number)
    return svg.markup(root)


def _draw(root: svg.Element, panel: svg.Panel, series: Series, number: int) -> None:
    style = f"series-{number + 1}"
    places = [(panel.x(one.x), panel.y(_within(one.y, panel.y_range))) for one in series.estimates]
    if series.drawn == "line" and len(places) > 1:
        svg.add(root, "path", d=svg.path(places), class_=f"mean {style}")
    for (x, y), one in zip(places, series.estimates, strict=True):
        if one.low is not None and one.high is not None:
            ends = [panel.y(_within(end, panel.y_range)) for end in (one.low, one.high)]
            svg.add(root, "line", x1=x, x2=x, y1=ends[0], y2=ends[1], class_=f"error {style}")
        point = svg.marker(root, SERIES_STYLES[number][1], x, y, 7.0, f"point {style}")
        svg.add(point, "title", one.told)


def _within(value: float, ends: tuple[float, float]) -> float:
    return min(max(value, min(ends)), max(ends))
