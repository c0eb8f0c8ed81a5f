"""Pictures of a whole night: where on the sky its objects are, and how bright its detections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from astropy_healpix import HEALPix
from markupsafe import Markup

from deeprubin_spark.reporting import svg
from deeprubin_spark.reporting.band_style import BAND_STYLES, STYLED_BANDS

_SKY_ORDER = 4
_SHADES = 5
_LEAST_EXPECTED = 0.01  # supernovae in a cell that is filled
_SKY_WIDTH, _SKY_HEIGHT = 460.0, 262.0
_WIDTH, _HEIGHT = 460.0, 262.0
_EDGE = 1e-3  # [deg] keeps a cell that touches the map's edge on its own side of it


def sky_map(cells: Mapping[int, int]) -> Markup:
    """Objects for each HEALPix cell (nested, order 4) on an Aitoff map, right ascension growing to the left, 0h in the middle."""
    told = {cell: f"{count:,} objects" for cell, count in cells.items()}
    return _map(cells, told, f"Map of the sky: {sum(cells.values()):,} objects in {len(cells):,} cells of 13.4 square degrees")


def supernova_map(cells: Mapping[int, float]) -> Markup:
    """Expected number of supernovae for each cell, on the same map; one below 0.01 is drawn as an outline."""
    shown = {cell: expected if expected >= _LEAST_EXPECTED else 0.0 for cell, expected in cells.items()}
    told = {cell: f"{expected:.2f} supernovae expected" for cell, expected in cells.items()}
    return _map(
        shown, told, f"Map of the sky: {sum(cells.values()):.2f} supernovae expected in {len(cells):,} cells of 13.4 square degrees"
    )


def _map(cells: Mapping[int, float], told: Mapping[int, str], description: str) -> Markup:
    """Values for each cell as shades, logarithmic, 0 as an outline; `told`: what each cell says when pointed at."""
    root = svg.drawing(_SKY_WIDTH, _SKY_HEIGHT, description)
    svg.add(
        root,
        "path",
        d=_line([(180.0 - _EDGE, b) for b in range(-90, 91, 5)] + [(-180.0 + _EDGE, b) for b in range(90, -91, -5)]) + "Z",
        class_="sky",
    )
    for dec in (-60, -30, 0, 30, 60):
        svg.add(root, "path", d=_line([(float(ra), float(dec)) for ra in range(-180, 181, 6)]), class_="grid")
        if dec:
            x, y = _on_map(179.9, float(dec))
            svg.add(root, "text", f"{dec:+d}°", x=x - 3, y=y + (3 if dec < 0 else 1), class_="tick", text_anchor="end")
    for meridian in range(-120, 121, 60):
        svg.add(root, "path", d=_line([(float(meridian), float(dec)) for dec in range(-90, 91, 6)]), class_="grid")
    most = max(cells.values(), default=0)
    for cell, value in sorted(cells.items()):
        shade = 1 + min(_SHADES - 1, int(_SHADES * math.log1p(value) / math.log1p(most) - 1e-9)) if value else 0
        drawn = svg.add(root, "path", d=_line(_outline(cell)) + "Z", class_=f"cell shade-{shade}")
        svg.add(drawn, "title", told[cell])
    for hours in (20, 16, 12, 8, 4, 0):
        ra = hours * 15.0 if hours <= 12 else hours * 15.0 - 360.0
        x, y = _on_map(min(ra, 179.0), 0.0)
        svg.add(root, "text", f"{hours}h", x=x + 2, y=y - 3, class_="tick halo")
    return svg.markup(root)


def brightness_histogram(brightness: Mapping[tuple[str, int], int]) -> Markup:
    """Detections for each half magnitude and band: a stepped line for each band with its markers. Empty where there is none."""
    bands = [band for band in STYLED_BANDS if any(b == band for b, _ in brightness)]
    halves = [half for band, half in brightness if band in bands]
    if not halves:
        return Markup("")
    low, high = min(halves) / 2.0 - 0.5, (max(halves) + 1) / 2.0 + 0.5
    most = max(brightness.values())
    root = svg.drawing(
        _WIDTH, _HEIGHT, f"Brightness of {sum(brightness.values()):,} detections in bins of half a magnitude, bands {', '.join(bands)}"
    )
    panel = svg.Panel(54.0, 12.0, _WIDTH - 66.0, _HEIGHT - 54.0, (low, high), (0.0, most * 1.08))
    y_ticks = [(value, text) for value, text in svg.tick_texts(svg.ticks(0.0, most * 1.08, 5)) if value == int(value)]
    panel.axes(root, "AB mag of the difference (faint to the right)", "detections", svg.tick_texts(svg.ticks(low, high, 7)), y_ticks)
    for band in bands:
        steps: list[tuple[float, float]] = []
        for half in range(min(halves), max(halves) + 1):
            y = panel.y(brightness.get((band, half), 0))
            steps += [(panel.x(half / 2.0), y), (panel.x((half + 1) / 2.0), y)]
        svg.add(root, "path", d=svg.path(steps), class_=f"mean band-{band}")
        for half in range(min(halves), max(halves) + 1):
            if (band, half) in brightness:
                point = svg.marker(
                    root, BAND_STYLES[band].marker, panel.x(half / 2.0 + 0.25), panel.y(brightness[band, half]), 7.0, f"point band-{band}"
                )
                svg.add(point, "title", f"{band}: {brightness[band, half]:,} detections from {half / 2:.1f} to {half / 2 + 0.5:.1f} mag")
    return svg.markup(root)


def _outline(cell: int) -> list[tuple[float, float]]:
    """Corners of a cell [deg], longitudes next to its centre's and not beyond the map's edge."""
    grid = HEALPix(nside=2**_SKY_ORDER, order="nested")
    centre = _wrapped(float(grid.healpix_to_lonlat([cell])[0].deg[0]))
    longitudes, latitudes = grid.boundaries_lonlat([cell], step=2)
    near = [centre + _wrapped(float(ra) - centre) for ra in longitudes.deg[0]]
    return [(float(np.clip(ra, -180.0 + _EDGE, 180.0 - _EDGE)), float(dec)) for ra, dec in zip(near, latitudes.deg[0], strict=True)]


def _line(places: Sequence[tuple[float, float]]) -> str:
    return svg.path([_on_map(ra, dec) for ra, dec in places])


def _on_map(ra: float, dec: float) -> tuple[float, float]:
    """User coordinates of a place; ra [deg] in [-180, 180]."""
    x, y = svg.aitoff(ra, dec)
    scale = (_SKY_WIDTH - 40.0) / (2.0 * math.pi)
    return _SKY_WIDTH / 2.0 + 8.0 - scale * x, _SKY_HEIGHT / 2.0 - scale * y


def _wrapped(degrees: float) -> float:
    """The same direction in [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0
