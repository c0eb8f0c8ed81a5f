"""The light curve of one object: points with error bars, upper limits, and the Gaussian process' posterior band.

Brightness is the difference from the reference image. An AB magnitude exists only where that is positive; an object that was ever fainter
than its reference therefore gets a second panel with the signed flux, where nothing is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from deeprubin_spark.kernels.photometry import ab_magnitude
from deeprubin_spark.reporting import svg
from deeprubin_spark.reporting.band_style import BAND_STYLES, STYLED_BANDS
from deeprubin_spark.reporting.facts import Strange
from deeprubin_spark.reporting.search_facts import Candidate
from deeprubin_spark.schemas.features import GRID_BANDS

WIDTH = 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 10.0, 38.0
_MAGNITUDE_HEIGHT, _FLUX_HEIGHT = 190.0, 110.0
_NJY_PER_MICROJY = 1000.0
_MAGNITUDE_MARGIN = 0.3  # [mag]
_FAINTEST_OF_BAND = (
    24.0  # [mag] where the band's lower edge ends if its flux goes to zero: below anything a survey of single exposures sees
)


class Measurement(NamedTuple):
    """A detection: time [MJD], band, signed flux and its error [nJy]."""

    mjd: float
    band: str
    flux: float
    flux_err: float


class Limit(NamedTuple):
    """A 5-sigma upper limit: time [MJD], band, flux [nJy]."""

    mjd: float
    band: str
    flux: float


class Ribbon(NamedTuple):
    """Posterior of one band: times [MJD], mean and standard deviation [nJy]."""

    band: str
    mjd: Sequence[float]
    mean: Sequence[float]
    sd: Sequence[float]


@dataclass(frozen=True)
class Curve:
    """What is drawn of an object."""

    object_id: str
    measurements: tuple[Measurement, ...]
    limits: tuple[Limit, ...]
    ribbons: tuple[Ribbon, ...]

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands with a point, blue to red."""
        present = {m.band for m in self.measurements} | {limit.band for limit in self.limits}
        return tuple(band for band in STYLED_BANDS if band in present)

    @property
    def ever_fainter(self) -> bool:
        """Whether any measurement is fainter than the reference."""
        return any(m.flux <= 0.0 for m in self.measurements)

    @property
    def times(self) -> list[float]:
        """[MJD] Time of every point."""
        return [m.mjd for m in self.measurements] + [limit.mjd for limit in self.limits]

    @property
    def time_range(self) -> tuple[float, float]:
        """[MJD] First to last point, with a margin."""
        margin = max(0.5, 0.04 * (max(self.times) - min(self.times)))
        return min(self.times) - margin, max(self.times) + margin


def curve(drawn: Strange | Candidate) -> Curve:
    """The drawable part of a row: known bands and finite numbers only."""
    points = [p for p in drawn.points if p["band"] in BAND_STYLES and _finite(p["mjd"])]
    measurements = tuple(
        Measurement(p["mjd"], p["band"], p["flux_njy"], p["flux_err_njy"] if _finite(p["flux_err_njy"]) else 0.0)
        for p in points
        if p["kind"] == "detection" and _finite(p["flux_njy"])
    )
    limits = tuple(
        Limit(p["mjd"], p["band"], p["limit_njy"])
        for p in points
        if p["kind"] == "limit" and _finite(p["limit_njy"]) and p["limit_njy"] > 0.0
    )
    return Curve(drawn.object_id, measurements, limits, tuple(_ribbons(drawn)))


def plot(shown: Curve, name: str) -> Markup:
    """The picture; `name` is unique on the page. Empty where the object has no point that can be drawn."""
    if not (shown.measurements or shown.limits):
        return Markup("")
    tracks = _tracks(shown)
    height = sum(track.height + _TOP + _BOTTOM for track in tracks)
    root = svg.drawing(WIDTH, height, _description(shown))
    top = _TOP
    for number, track in enumerate(tracks):
        _draw(root, shown, track, top, f"{name}-{number}")
        top += track.height + _BOTTOM + _TOP
    return svg.markup(root)


@dataclass(frozen=True)
class _Track:
    """One panel: how a flux [nJy] becomes its y value (None: not on it), and the panel's range (bottom, top)."""

    label: str
    height: float
    y_range: tuple[float, float]
    value: Callable[[float], float | None]
    floor: float | None  # y value for the edge of a band whose flux has none


def _tracks(shown: Curve) -> list[_Track]:
    """Magnitudes unless every measurement is negative; signed flux as soon as one is."""
    has_magnitude = not shown.measurements or any(m.flux > 0.0 for m in shown.measurements)
    return ([_magnitude_track(shown)] if has_magnitude else []) + ([_flux_track(shown)] if shown.ever_fainter else [])


def _magnitude_track(shown: Curve) -> _Track:
    """Inverted AB magnitudes. Measurements fainter than the reference are not on it: the flux panel has them."""
    known = [m.flux + d for m in shown.measurements if m.flux > 0.0 for d in (-min(m.flux_err, 0.5 * m.flux), m.flux_err)]
    known += [limit.flux for limit in shown.limits]
    values = [value for value in map(_magnitude, known) if value is not None] or [20.0, 21.0]
    y_range = (max(values) + _MAGNITUDE_MARGIN, min(values) - _MAGNITUDE_MARGIN)
    return _Track("difference, AB mag", _MAGNITUDE_HEIGHT, y_range, _magnitude, _FAINTEST_OF_BAND + 5.0)


def _flux_track(shown: Curve) -> _Track:
    values = [m.flux + sign * m.flux_err for m in shown.measurements for sign in (-1.0, 1.0)] + [0.0]
    margin = 0.08 * ((max(values) - min(values)) or 1.0)
    y_range = ((min(values) - margin) / _NJY_PER_MICROJY, (max(values) + margin) / _NJY_PER_MICROJY)
    return _Track("flux, µJy", _FLUX_HEIGHT, y_range, lambda flux: flux / _NJY_PER_MICROJY, None)


def _draw(root: svg.Element, shown: Curve, track: _Track, top: float, name: str) -> None:
    panel = svg.Panel(_LEFT, top, WIDTH - _LEFT - _RIGHT, track.height, shown.time_range, track.y_range)
    x_ticks = svg.tick_texts(svg.ticks(*shown.time_range, about=5))
    y_ticks = svg.tick_texts(svg.ticks(min(track.y_range), max(track.y_range), about=5))
    panel.axes(root, "MJD", track.label, x_ticks, y_ticks)
    inside = svg.add(root, "g", clip_path=panel.clip(root, name))
    for ribbon in shown.ribbons:
        _draw_ribbon(inside, panel, track, ribbon)
    if track.floor is None:
        svg.add(inside, "line", x1=panel.left, x2=panel.left + panel.width, y1=panel.y(0.0), y2=panel.y(0.0), class_="axis")
    for limit in shown.limits:
        y = track.value(limit.flux)
        if y is not None:
            svg.limit_triangle(inside, panel.x(limit.mjd), panel.y(y), 7.0, f"limit band-{limit.band}")
    for measurement in shown.measurements:
        _draw_measurement(inside, panel, track, measurement)


def _draw_measurement(inside: svg.Element, panel: svg.Panel, track: _Track, point: Measurement) -> None:
    y = track.value(point.flux)
    if y is None:
        return
    x, bottom = panel.x(point.mjd), panel.y_range[0]
    low, high = track.value(point.flux - point.flux_err), track.value(point.flux + point.flux_err)
    ends = [panel.y(bottom if end is None else end) for end in (low, high)]
    svg.add(inside, "line", x1=x, x2=x, y1=ends[0], y2=ends[1], class_=f"error band-{point.band}")
    svg.marker(inside, BAND_STYLES[point.band].marker, x, panel.y(y), 7.0, f"point band-{point.band}")


def _draw_ribbon(inside: svg.Element, panel: svg.Panel, track: _Track, ribbon: Ribbon) -> None:
    """Mean and one standard deviation to either side; cut into pieces where the mean has no value on this axis."""
    piece: list[tuple[float, float, float, float]] = []
    for mjd, mean, sd in (*zip(ribbon.mjd, ribbon.mean, ribbon.sd, strict=True), (math.nan, math.nan, math.nan)):
        middle = track.value(mean) if _finite(mean) else None
        upper, lower = (track.value(mean + sd), track.value(mean - sd)) if middle is not None else (None, None)
        if middle is None or upper is None:
            _draw_piece(inside, piece, ribbon.band)
            piece = []
            continue
        below = lower if lower is not None else (track.floor if track.floor is not None else middle)
        piece.append((panel.x(mjd), panel.y(below), panel.y(middle), panel.y(upper)))


def _draw_piece(inside: svg.Element, piece: Sequence[tuple[float, float, float, float]], band: str) -> None:
    if len(piece) < 2:
        return
    outline = [(x, upper) for x, _, _, upper in piece] + [(x, lower) for x, lower, _, _ in reversed(piece)]
    svg.add(inside, "path", d=svg.path(outline) + "Z", class_=f"ribbon band-{band}")
    svg.add(inside, "path", d=svg.path([(x, middle) for x, _, middle, _ in piece]), class_=f"mean band-{band}")


def _ribbons(drawn: Strange | Candidate) -> Iterator[Ribbon]:
    """The grid holds all times in the first band, then all in the next."""
    n = len(drawn.grid_time)
    if drawn.t_ref_mjd is None or n == 0 or len(drawn.grid_mean) != n * len(GRID_BANDS) or len(drawn.grid_sd) != len(drawn.grid_mean):
        return
    mjd = [drawn.t_ref_mjd + t for t in drawn.grid_time]
    seen = {p["band"] for p in drawn.points if p["kind"] == "detection"}
    for position, band in enumerate(GRID_BANDS):
        if band in seen:
            here = slice(position * n, (position + 1) * n)
            yield Ribbon(band, mjd, drawn.grid_mean[here], drawn.grid_sd[here])


def _description(shown: Curve) -> str:
    first, last = min(shown.times), max(shown.times)
    seen = f"{len(shown.measurements)} detections and {len(shown.limits)} upper limits in {', '.join(shown.bands)}"
    return f"Light curve of {shown.object_id}: {seen}, MJD {first:.1f} to {last:.1f}"


def _magnitude(flux: float) -> float | None:
    value = float(ab_magnitude(np.array([flux]))[0])
    return value if math.isfinite(value) else None


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
