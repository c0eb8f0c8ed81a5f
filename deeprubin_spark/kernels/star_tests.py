"""All tests for technosignatures of many stars at once, and the same of stars whose nights have been exchanged at random.

The copy with exchanged nights is the empirical null of what depends on time: the levels of a night stay together and go to another of the star's nights;
its event goes to another time at which it was looked at. Colours and levels of brightness do not change by it: their chances stay the star's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels import achromatic, counter_random, dips, earth_transit_zone, event_intervals, quantised_levels, seti_ellipsoid
from deeprubin_spark.kernels.light_curves import LightCurves, chosen_points
from deeprubin_spark.kernels.nightly_levels import Nights, nights_of
from deeprubin_spark.kernels.separations import half_angle_squared_sine
from deeprubin_spark.kernels.vanishing import Vanished, vanished

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHANCES = ("ellipsoid", "transit_zone", "dip", "achromatic", "levels", "intervals")  # the tests that have a chance, in the order of `p`
TOLERANCE = 30.0  # [d] how late an answer to an event may be (assumed)
MOST_DEVIATION = 3.0  # [sigma] of an event from a crossing that counts as one
BRIGHT = 3.0  # deviation above which a night is an event in a series
LEAST_PAIRS = 2  # nights with light missing in g and r
_G, _R = BAND_NAMES.index("g"), BAND_NAMES.index("r")
_ORDER, _TIME = 1, 2  # streams of random numbers


@dataclass(frozen=True)
class Stars:
    """What is known of B stars beside their light curves.

    ra, dec : (B,) [deg]      star_score : (B,) [1]      distance, distance_err : (B,) [pc], NaN where unknown
    reference : (B, bands) [nJy] flux of the reference image, NaN where unknown      key : (B,) uint64, a star's own
    looked, looked_offsets : (L,) [d] times of all detections and limits, ascending for each star, and (B + 1,); each star has one at least
    """

    ra: FloatArray
    dec: FloatArray
    star_score: FloatArray
    distance: FloatArray
    distance_err: FloatArray
    reference: FloatArray
    key: NDArray[np.uint64]
    looked: FloatArray
    looked_offsets: IntArray


@dataclass(frozen=True)
class Events:
    """E bright events: where [deg], when seen here [d], how far [pc]; (E,) each."""

    ra: FloatArray
    dec: FloatArray
    mjd: FloatArray
    distance: FloatArray
    distance_err: FloatArray


@dataclass(frozen=True)
class Coincidences:
    """Of B stars, (B,) each: p [1]; the event whose crossing is nearest, -1 where there is no distance; its crossing and error [d]; deviation [1]."""

    p: FloatArray
    event: IntArray
    crossing_mjd: FloatArray
    crossing_err: FloatArray
    z: FloatArray


@dataclass(frozen=True)
class Tested:
    """Of B stars: p and p_exchanged (B, len(CHANCES)), NaN where a test could not be made, and what the tests say besides, (B,) each.

    event_mjd : [d]      n_nights : nights with a detection      opposition_days : [d], NaN outside the zone      series : place in SERIES_NAMES, -1 none
    """

    p: FloatArray
    p_exchanged: FloatArray
    event_mjd: FloatArray
    n_nights: IntArray
    ellipsoid: Coincidences
    opposition_days: FloatArray
    dip: dips.Dips
    screens: achromatic.Screens
    n_levels: IntArray
    series: IntArray
    gone: Vanished


def tested(curves: LightCurves, stars: Stars, events: Events) -> Tested:
    """All tests of B stars whose usable detections (positive errors, in order of time) these are."""
    owner = np.repeat(np.arange(curves.n_objects), np.diff(curves.offsets))
    reference = stars.reference[owner, curves.band]
    nights = nights_of(curves)
    other = exchanged(nights, stars.key)
    event_mjd = strongest(curves)
    other_mjd = np.where(np.isfinite(event_mjd), _random_times(stars), np.nan)
    crossing, days = coincidences(event_mjd, stars, events), opposition_days(event_mjd, stars)
    dip, screens = dips.dips(curves, nights, reference), _screens(curves, nights, owner, reference)
    p_levels, n_levels = _levels(curves, owner)
    p_series, series = event_intervals.chances(nights.mjd, nights.offsets, nights.highest > BRIGHT)
    of_other = (
        coincidences(other_mjd, stars, events).p,
        earth_transit_zone.chance_of_opposition(opposition_days(other_mjd, stars)),
        dips.dips(curves, other, reference).p,
        screens.p,
        p_levels,
        event_intervals.chances(other.mjd, other.offsets, other.highest > BRIGHT)[0],
    )
    own = (crossing.p, earth_transit_zone.chance_of_opposition(days), dip.p, screens.p, p_levels, p_series)
    gone = vanished(curves, nights.night_of, reference, stars.star_score)
    p, p_exchanged = np.stack(own, axis=1), np.stack(of_other, axis=1)
    return Tested(p, p_exchanged, event_mjd, np.diff(nights.offsets), crossing, days, dip, screens, n_levels, series, gone)


def after_look_elsewhere(p: FloatArray) -> tuple[FloatArray, IntArray]:
    """That the least of the chances p (B, T) would be as small: 1 - (1 - min p)^n of the n that are not NaN (Sidak 1967, JASA 62, 626).

    Returns (B,) [1], NaN where n is 0, and n. Exact for independent tests, an upper bound for positively dependent ones.
    """
    n = np.isfinite(p).sum(axis=1)
    least = np.where(np.isnan(p), np.inf, p).min(axis=1, initial=np.inf)
    with np.errstate(divide="ignore"):
        combined = -np.expm1(n * np.log1p(-np.where(n > 0, np.minimum(least, 1.0), 0.0)))
    return np.where(n > 0, combined, np.nan), n


def strongest(curves: LightCurves) -> FloatArray:
    """Time (B,) [d] of each star's first detection of the greatest |F| / sigma: its event. NaN for one without detections."""
    found = np.full(curves.n_objects, np.nan)
    has_any = np.diff(curves.offsets) > 0
    if not has_any.any():
        return found
    strength = np.abs(curves.flux / curves.flux_err)
    greatest = np.repeat(np.maximum.reduceat(strength, curves.offsets[:-1][has_any]), np.diff(curves.offsets)[has_any])
    at = np.flatnonzero(strength == greatest)
    owner, first = np.unique(np.searchsorted(curves.offsets, at, side="right") - 1, return_index=True)
    found[owner] = curves.mjd[at[first]]
    return found


def exchanged(nights: Nights, key: NDArray[np.uint64]) -> Nights:
    """The same nights with their levels in random order, each star's own; a star has the same order whoever stands beside it."""
    order = np.arange(len(nights.mjd))
    _shuffle(nights.offsets, counter_random.keys(key, _ORDER), order)
    return replace(nights, lowest=nights.lowest[order], highest=nights.highest[order])


@njit(cache=True, nogil=True)
def _shuffle(offsets: IntArray, seed: NDArray[np.uint64], order: IntArray) -> None:
    """Fisher and Yates's shuffle of order[offsets[b] : offsets[b + 1]], with numbers of splitmix64 (see `counter_random`)."""
    for b in range(len(offsets) - 1):
        state = seed[b]
        for i in range(offsets[b + 1] - 1, offsets[b], -1):
            state += np.uint64(0x9E3779B97F4A7C15)
            word = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            word ^= word >> np.uint64(31)
            j = offsets[b] + np.int64(word % np.uint64(i - offsets[b] + 1))
            order[i], order[j] = order[j], order[i]


def coincidences(event_mjd: FloatArray, stars: Stars, events: Events) -> Coincidences:
    """Whether events of B stars [d] come when the SETI Ellipsoid of one of E bright events crosses them.

    The least chance of coincidence within the star's span over the bright events, after look-elsewhere; a crossing more than 3 sigma away counts as p = 1.
    """
    n_stars = len(event_mjd)
    p, *numbers = (np.full(n_stars, np.nan) for _ in range(4))
    found = Coincidences(p, np.full(n_stars, -1), *numbers)
    first, last = stars.looked[stars.looked_offsets[:-1]], stars.looked[stars.looked_offsets[1:] - 1]
    rows = np.flatnonzero(np.isfinite(event_mjd + stars.distance + stars.distance_err) & (last > first))
    mjd, ra, dec, d, d_err, first, last = (
        of_all[rows, None] for of_all in (event_mjd, stars.ra, stars.dec, stars.distance, stars.distance_err, first, last)
    )
    h = half_angle_squared_sine(ra, dec, events.ra, events.dec)
    crossing = seti_ellipsoid.crossings(d, d_err, events.distance, events.distance_err, h)
    at = events.mjd + crossing.delay
    z = seti_ellipsoid.deviation(mjd, at, crossing.delay_err, TOLERANCE)
    chance = np.where(np.abs(z) <= MOST_DEVIATION, seti_ellipsoid.chance_of_coincidence(mjd, at, first, last), 1.0)
    best = np.lexsort((np.abs(z), chance))[:, :1]  # of equal chances the nearest
    found.p[rows] = after_look_elsewhere(chance)[0]
    found.event[rows] = best[:, 0]
    of_best = (np.take_along_axis(values, best, axis=1)[:, 0] for values in (at, crossing.delay_err, z))
    found.crossing_mjd[rows], found.crossing_err[rows], found.z[rows] = of_best
    return found


def opposition_days(event_mjd: FloatArray, stars: Stars) -> FloatArray:
    """Days (B,) of an event after the nearest opposition, of stars that see Earth pass before the Sun; NaN for all others."""
    sees_earth = earth_transit_zone.transit_half_duration(stars.ra, stars.dec) > 0.0
    return np.where(sees_earth, earth_transit_zone.days_from_opposition(event_mjd, stars.ra, stars.dec), np.nan)


def _random_times(stars: Stars) -> FloatArray:
    """One of each star's times (B,) [d]."""
    share = counter_random.uniforms(counter_random.keys(stars.key, _TIME))
    counts = np.diff(stars.looked_offsets)
    chosen: FloatArray = stars.looked[stars.looked_offsets[:-1] + np.floor(share * counts).astype(np.int64)]
    return chosen


def _screens(curves: LightCurves, nights: Nights, owner: IntArray, reference: FloatArray) -> achromatic.Screens:
    """Opaque or dusty, of the first g and the first r on each night on which both miss light.

    Dust's curve is fitted only to stars that something opaque fits: all others have p = 1 whatever it says, and no ratio of likelihoods.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        missing, error = -curves.flux / reference, curves.flux_err / reference
    usable = np.flatnonzero((missing > 0.0) & (missing < 1.0 + 3.0 * error) & (reference > 0.0))
    in_g, in_r = (usable[curves.band[usable] == band] for band in (_G, _R))
    night_g, first_g = np.unique(nights.night_of[in_g], return_index=True)
    night_r, first_r = np.unique(nights.night_of[in_r], return_index=True)
    _, g, r = np.intersect1d(night_g, night_r, assume_unique=True, return_indices=True)
    g, r = in_g[first_g[g]], in_r[first_r[r]]
    enough = np.bincount(owner[g], minlength=curves.n_objects)[owner[g]] >= LEAST_PAIRS
    g, r = g[enough], r[enough]
    pairs = (missing[g], error[g], missing[r], error[r])
    opaque = achromatic.opaque_chi2(*pairs)
    fits = _opaque_fits(opaque, owner[g], curves.n_objects)[owner[g]]
    dust = np.full(len(g), np.nan)
    dust[fits] = achromatic.dust_chi2(*(values[fits] for values in pairs))
    return achromatic.screens(opaque, dust, owner[g], curves.n_objects)


def _opaque_fits(chi2: FloatArray, owner: IntArray, n_objects: int) -> NDArray[np.bool_]:
    """Whether `achromatic.screens` will look at dust at all, (B,)."""
    nothing = achromatic.screens(chi2, np.full(len(chi2), np.inf), owner, n_objects)
    return np.asarray(nothing.p < 0.5)


def _levels(curves: LightCurves, owner: IntArray) -> tuple[FloatArray, IntArray]:
    """Chance and number of levels (B,), of the band with the lower chance, both bands counted."""
    group = owner * len(BAND_NAMES) + curves.band
    long_enough = np.bincount(group, minlength=1)[group] >= quantised_levels.LEAST_POINTS
    kept, group = chosen_points(curves, long_enough), group[long_enough]
    order = np.argsort(group, kind="stable")
    of_group, begins = np.unique(group[order], return_index=True)
    p, levels = quantised_levels.chances(kept.flux[order], kept.flux_err[order], np.append(begins, len(order)))
    table, counts = np.full((curves.n_objects, len(BAND_NAMES)), np.nan), np.zeros((curves.n_objects, len(BAND_NAMES)), np.int64)
    table[of_group // len(BAND_NAMES), of_group % len(BAND_NAMES)] = p
    counts[of_group // len(BAND_NAMES), of_group % len(BAND_NAMES)] = levels
    best = np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    return after_look_elsewhere(table)[0], counts[np.arange(curves.n_objects), best]
