"""Small vector drawings for a page: elements, panels with axes, markers.

Colours come from the page's style sheet, so a drawing follows the reader's light or dark scheme and prints in ink. Text goes through an XML
tree and is escaped there, whatever an object is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup

from deeprubin_spark.reporting.band_style import Marker

Element = ElementTree.Element
Points = Sequence[tuple[float, float]]
_TICK = 4.0


def drawing(width: float, height: float, description: str) -> Element:
    """An empty picture of width x height user units, with its description for those who cannot see it."""
    root = ElementTree.Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": description})
    add(root, "title", text=description)
    return root


def add(parent: Element, tag: str, text: str = "", **attributes: str | float) -> Element:
    """A new element in `parent`. `class_` stands for class, an underscore for a hyphen; numbers are rounded to a tenth."""
    named = {name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else _number(value) for name, value in attributes.items()}
    element = ElementTree.SubElement(parent, tag, named)
    if text:
        element.text = text
    return element


def markup(root: Element) -> Markup:
    """The picture as text that may stand in a page as it is."""
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def path(points: Points) -> str:
    """Path data of a line through `points`."""
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def marker(parent: Element, shape: Marker, x: float, y: float, size: float, class_: str) -> Element:
    """A marker of about `size` across, centred on (x, y)."""
    half = size / 2.0
    if shape == "circle":
        return add(parent, "circle", cx=x, cy=y, r=half, class_=class_)
    if shape == "square":
        return add(parent, "rect", x=x - 0.9 * half, y=y - 0.9 * half, width=1.8 * half, height=1.8 * half, class_=class_)
    corners: dict[str, Points] = {
        "diamond": ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)),
        "triangle": ((0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
        "cross": ((-1.2, -0.5), (-0.5, -1.2), (1.2, 0.5), (0.5, 1.2)),
        "plus": ((-1.2, -0.4), (1.2, -0.4), (1.2, 0.4), (-1.2, 0.4)),
    }
    return add(parent, "path", d=path([(x + half * dx, y + half * dy) for dx, dy in corners[shape]]) + "Z", class_=class_)


def limit_triangle(parent: Element, x: float, y: float, size: float, class_: str) -> Element:
    """An upper limit: a triangle that points down, its tip on the limit's value plus its own height."""
    half = size / 2.0
    return add(parent, "path", d=path([(x - half, y), (x + half, y), (x, y + size)]) + "Z", class_=class_)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in [low, high], `about` of them, in steps of 1, 2 or 5 times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1.0, 2.0, 5.0, 10.0) if rough <= m * power * 1.0001)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Panel:
    """A rectangle of a picture with data axes: (left, top, width, height) in user units; y grows upwards unless `y_range` is reversed."""

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        """User coordinate of a value on the x axis."""
        low, high = self.x_range
        return self.left + self.width * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """User coordinate of a value on the y axis."""
        bottom, top = self.y_range
        return self.top + self.height * (top - value) / (top - bottom)

    def clip(self, root: Element, name: str) -> str:
        """Make a clip path of the panel called `name`, unique on the page; returns the value for `clip_path`."""
        add(add(root, "clipPath", id=name), "rect", x=self.left, y=self.top, width=self.width, height=self.height)
        return f"url(#{name})"

    def axes(
        self, root: Element, x_label: str, y_label: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]
    ) -> None:
        """Frame, ticks with their texts, faint lines across, and the axes' names."""
        bottom = self.top + self.height
        for value, text in y_ticks:
            y = self.y(value)
            add(root, "line", x1=self.left, x2=self.left + self.width, y1=y, y2=y, class_="grid")
            add(root, "text", text, x=self.left - _TICK - 2, y=y + 3.5, class_="tick", text_anchor="end")
        for value, text in x_ticks:
            x = self.x(value)
            add(root, "line", x1=x, x2=x, y1=bottom, y2=bottom + _TICK, class_="axis")
            add(root, "text", text, x=x, y=bottom + _TICK + 11, class_="tick", text_anchor="middle")
        add(root, "line", x1=self.left, x2=self.left + self.width, y1=bottom, y2=bottom, class_="axis")
        add(root, "text", x_label, x=self.left + self.width / 2, y=bottom + 31, class_="label", text_anchor="middle")
        middle = self.top + self.height / 2
        add(
            root,
            "text",
            y_label,
            x=0.0,
            y=0.0,
            class_="label",
            text_anchor="middle",
            transform=f"translate({_number(12.0)} {_number(middle)}) rotate(-90)",
        )


def tick_texts(values: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks with their texts, all with as many decimals as the step needs."""
    if len(values) < 2:
        return [(value, f"{value:g}") for value in values]
    decimals = max(0, -math.floor(math.log10(abs(values[1] - values[0])) + 1e-9))
    return [(value, f"{value:,.{decimals}f}" if abs(value) < 1e4 else f"{value:.{decimals}f}") for value in values]


def aitoff(longitude: float, latitude: float) -> tuple[float, float]:
    """Aitoff's equal-width map of the sky (Aitoff 1889).

    x = 2 cos b sin(l / 2) / sinc a,   y = sin b / sinc a,   cos a = cos b cos(l / 2),   sinc a = sin a / a

    longitude : [deg] in [-180, 180]      latitude : [deg] in [-90, 90]
    Returns (x, y) with |x| <= pi and |y| <= pi / 2.
    """
    half, b = math.radians(longitude) / 2.0, math.radians(latitude)
    a = math.acos(max(-1.0, min(1.0, math.cos(b) * math.cos(half))))
    stretch = a / math.sin(a) if a > 1e-9 else 1.0
    return 2.0 * math.cos(b) * math.sin(half) * stretch, math.sin(b) * stretch


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
