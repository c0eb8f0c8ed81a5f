"""Pictures of the searches: the track of what moves, and a disc like the Milky Way's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from deeprubin_spark.reporting import svg
from deeprubin_spark.reporting.band_style import BAND_STYLES
from deeprubin_spark.reporting.evaluation_plots import SERIES_STYLES
from deeprubin_spark.reporting.search_facts import Ring

_TRACK_WIDTH, _TRACK_HEIGHT = 420.0, 250.0
_DISC_WIDTH, _DISC_HEIGHT = 460.0, 262.0
_LEFT, _TOP, _RIGHT, _BOTTOM = 60.0, 12.0, 12.0, 42.0
_SUN = 8.178  # [kpc] from the Galactic centre (GRAVITY Collaboration 2019, A&A 625, L10)


class _Unit(NamedTuple):
    """A unit of angle, and how many arcseconds it is."""

    name: str
    size: float


_UNITS = (_Unit("arcsec", 1.0), _Unit("arcmin", 60.0), _Unit("deg", 3600.0))
_MOST_UNITS = 600.0  # a longer track is drawn in the next larger unit


def track(observations: Sequence[dict[str, Any]], name: str) -> Markup:
    """Detections of one body on the tangent plane at the first, in time; north is up, east to the left, both axes on one scale.

    xi = cos d sin(a - a_0) / c,   eta = (sin d cos d_0 - cos d sin d_0 cos(a - a_0)) / c,   c = sin d sin d_0 + cos d cos d_0 cos(a - a_0)

    observations : records with mjd, ra and dec [deg], and band      name : what the picture is called to those who cannot see it
    Empty where there are fewer than two.
    """
    if len(observations) < 2:
        return Markup("")
    places = [_on_plane(one["ra"], one["dec"], observations[0]["ra"], observations[0]["dec"]) for one in observations]
    longest = max(max(p[i] for p in places) - min(p[i] for p in places) for i in (0, 1))
    unit = next((unit for unit in _UNITS if longest <= _MOST_UNITS * unit.size), _UNITS[-1])
    places = [(east / unit.size, north / unit.size) for east, north in places]
    days = observations[-1]["mjd"] - observations[0]["mjd"]
    root = svg.drawing(
        _TRACK_WIDTH, _TRACK_HEIGHT, f"Track of {name}: {len(places)} detections in {days:.2f} d, {longest:.1f} arcsec long at most"
    )
    panel = _square(places)
    x_ticks = svg.tick_texts(svg.ticks(panel.x_range[1], panel.x_range[0], about=6))
    y_ticks = svg.tick_texts(svg.ticks(*panel.y_range, about=5))
    panel.axes(root, f"east of the first, {unit.name}", f"north, {unit.name}", x_ticks, y_ticks)
    drawn = [(panel.x(east), panel.y(north)) for east, north in places]
    svg.add(root, "path", d=svg.path(drawn), class_="axis dashed")
    for (x, y), one in zip(drawn, observations, strict=True):
        style = BAND_STYLES.get(one["band"])
        point = svg.marker(root, style.marker if style else "cross", x, y, 8.0, f"point band-{one['band']}")
        svg.add(point, "title", f"MJD {one['mjd']:.4f}")
    return svg.markup(root)


def disc(rings: Sequence[Ring]) -> Markup:
    """P that a supernova harms life on a planet within 1 Gyr, with its 16 to 84 % band, and the index of habitability, by distance from the centre."""
    if not rings:
        return Markup("")
    root = svg.drawing(
        _DISC_WIDTH, _DISC_HEIGHT, f"Disc like the Milky Way's in {len(rings)} rings: harm by supernovae and habitability by radius"
    )
    farthest = max(ring.radius for ring in rings) + 0.5
    panel = svg.Panel(_LEFT, _TOP, _DISC_WIDTH - _LEFT - _RIGHT, _DISC_HEIGHT - _TOP - _BOTTOM, (0.0, farthest), (0.0, 1.05))
    x_ticks, y_ticks = svg.tick_texts(svg.ticks(0.0, farthest, about=8)), svg.tick_texts(svg.ticks(0.0, 1.0, about=5))
    panel.axes(root, "distance from the centre, kpc", "probability or index", x_ticks, y_ticks)
    around = [(panel.x(r.radius), panel.y(r.high)) for r in rings] + [(panel.x(r.radius), panel.y(r.low)) for r in reversed(rings)]
    svg.add(root, "path", d=svg.path(around) + "Z", class_="ribbon series-1")
    if farthest > _SUN:
        svg.add(root, "line", x1=panel.x(_SUN), x2=panel.x(_SUN), y1=panel.top, y2=panel.top + panel.height, class_="axis dashed")
        svg.add(root, "text", "Sun", x=panel.x(_SUN) + 4, y=panel.top + 9, class_="tick halo")
    lines = ([(r.radius, r.p_kill) for r in rings], [(r.radius, r.index) for r in rings])
    for number, line in enumerate(lines):
        places = [(panel.x(x), panel.y(y)) for x, y in line]
        svg.add(root, "path", d=svg.path(places), class_=f"mean series-{number + 1}")
        for (x, y), ring in zip(places, rings, strict=True):
            point = svg.marker(root, SERIES_STYLES[number][1], x, y, 6.0, f"point series-{number + 1}")
            told = f"{ring.radius:g} kpc: P {ring.p_kill:.3f} ({ring.low:.3f} to {ring.high:.3f}), index {ring.index:.3f}"
            svg.add(point, "title", told)
    return svg.markup(root)


def _square(places: Sequence[tuple[float, float]]) -> svg.Panel:
    """A panel with all places in it, one scale on both axes, east to the left."""
    width, height = _TRACK_WIDTH - _LEFT - _RIGHT, _TRACK_HEIGHT - _TOP - _BOTTOM
    middles, spans = [], []
    for axis in (0, 1):
        values = [place[axis] for place in places]
        middles.append((min(values) + max(values)) / 2.0)
        spans.append(max(values) - min(values))
    scale = 1.15 * max(spans[0] / width, spans[1] / height, 1.0 / width)  # units of angle in a unit of the picture
    x_range = middles[0] + scale * width / 2.0, middles[0] - scale * width / 2.0
    return svg.Panel(_LEFT, _TOP, width, height, x_range, (middles[1] - scale * height / 2.0, middles[1] + scale * height / 2.0))


def _on_plane(ra: float, dec: float, ra_0: float, dec_0: float) -> tuple[float, float]:
    """East and north [arcsec] of a place on the tangent plane at another; all [deg]."""
    a, d, d_0 = math.radians(ra - ra_0), math.radians(dec), math.radians(dec_0)
    cosine = math.sin(d) * math.sin(d_0) + math.cos(d) * math.cos(d_0) * math.cos(a)
    xi = math.cos(d) * math.sin(a) / cosine
    eta = (math.sin(d) * math.cos(d_0) - math.cos(d) * math.sin(d_0) * math.cos(a)) / cosine
    return math.degrees(xi) * 3600.0, math.degrees(eta) * 3600.0
