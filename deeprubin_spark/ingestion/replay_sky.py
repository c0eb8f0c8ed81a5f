"""A sky to replay: where its objects are, when they are observed, and which of them a night alerts on.

Everything about object i is a function of (seed, i), so any part of the sky can be made anywhere and in any order. The objects known before the
replay are numbers 0, 1, ... in the order of the sky (HEALPix, nested), one in each of as many equal parts of it: a range of numbers is a patch of sky.
The survey's rhythm is that of ZTF's public one: each field twice a night, in g and r, every third night (Bellm et al. 2019, arXiv:1902.01932).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.errors import UsageError
from deeprubin_spark.kernels import counter_random as random
from deeprubin_spark.kernels.nights import MJD_ZERO_DATE, MJD_ZERO_JD

HISTORY_DAYS = 30  # [d] that a packet's history goes back
CADENCE = 3  # [d]
VISITS = 2  # of a field in a night
FIELD_ORDER = 3  # a field is a pixel of 54 square degrees; ZTF's have 47
N_FIELDS = 8 * 4**FIELD_ORDER  # base pixels 0 to 7: the north and the equatorial belt, all declinations above -42
_FINE_ORDER = 24  # 0.01 arcsec
_FIELD_BITS = np.int64(2 * (_FINE_ORDER - FIELD_ORDER))
_FINE_PIXELS = N_FIELDS << int(_FIELD_BITS)

NEW_OBJECTS = 1 << 32  # the number of the first object that is new in the replay
_NEW_A_NIGHT = 10_000_000
_LETTERS = 26**7  # names of seven letters
_OBJECTS = 10**10  # a candid's last ten digits
_SCRAMBLE = 1_000_000_007  # prime to 26, so that each number keeps a name of its own; names of neighbours are not neighbours
_NID_ZERO = 57754  # MJD of ZTF's night number 0
_LARGEST_NID = 4611  # so that a candid stays below 2^62

# Of every thirteen objects that a night touches four are alerted on in both visits, the others in the first one: 1.3 alerts an object.
_ALERTS = np.array([1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1])
_ALERTS_BEFORE = np.concatenate(([0], np.cumsum(_ALERTS)))

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
_OBJECT, _EXPOSURE, _PICK = range(3)  # streams of random numbers
_POSITION, _NAME = range(2)  # ... of an object, beside those of its light curve, which begin at 10


@dataclass(frozen=True)
class Sky:
    """`n_known` objects that were each observed on `history_nights` nights before `first_night`, the first night that may be replayed."""

    seed: int
    n_known: int
    history_nights: int
    first_night: dt.date

    def __post_init__(self) -> None:
        """UsageError where the numbers leave no room for ids."""
        if not 0 <= self.n_known < NEW_OBJECTS:
            raise UsageError(f"known objects: expected 0 to {NEW_OBJECTS - 1}, found {self.n_known}")
        if self.history_nights < 0 or (self.n_known and not self.history_nights):
            raise UsageError(f"history nights: known objects need at least one, found {self.history_nights}")

    @property
    def first_day(self) -> int:
        """MJD of the first night to replay."""
        return mjd_of(self.first_night)

    @property
    def history_begin(self) -> int:
        """MJD of the first night of the history."""
        return self.first_day - CADENCE * self.history_nights


class Exposures(NamedTuple):
    """Exposures of B fields in order of time, each array (B, V): MJD of the night, jd [d], ZTF filter id, 5-sigma limit [mag], seeing [pix]."""

    day: IntArray
    jd: FloatArray
    fid: IntArray
    limit: FloatArray
    seeing: FloatArray


class Touched(NamedTuple):
    """Objects that a night alerts on, and the number of alerts of each: (T,)."""

    objects: IntArray
    n_alerts: IntArray


def mjd_of(night: dt.date) -> int:
    """MJD at 0 h UT of a night."""
    return int((np.datetime64(night, "D") - MJD_ZERO_DATE).astype(np.int64))


def object_keys(sky: Sky, objects: IntArray) -> random.Keys:
    """Key of every random number that belongs to an object."""
    return random.keys(sky.seed, _OBJECT, objects)


def born_on(sky: Sky, objects: IntArray) -> IntArray:
    """MJD of the night of an object's first detection; 0 for those known before the replay."""
    return np.where(objects < NEW_OBJECTS, 0, sky.first_day + (objects - NEW_OBJECTS) // _NEW_A_NIGHT)


def fields(sky: Sky, objects: IntArray) -> IntArray:
    """(N,) number of the field that observes each object."""
    return _pixels(sky, objects)[0]


def positions(sky: Sky, objects: IntArray) -> tuple[FloatArray, FloatArray]:
    """(N,) right ascension and declination [deg]."""
    from astropy_healpix.healpy import pix2ang  # most of a second to import: only where positions are asked for

    ra, dec = pix2ang(2**_FINE_ORDER, _pixels(sky, objects)[1], nest=True, lonlat=True)
    return np.ascontiguousarray(ra), np.ascontiguousarray(dec)


def object_names(sky: Sky, objects: IntArray) -> NDArray[np.uint8]:
    """(N, 12) letters of ids such as ZTF18abcdefg, no two alike. The year is one before the replay, or that of a new object's first night."""
    years = 2018 + (random.keys(object_keys(sky, objects), _NAME) % np.uint64(max(1, sky.first_night.year - 2018))).astype(np.int64)
    new = objects >= NEW_OBJECTS
    births = MJD_ZERO_DATE + born_on(sky, objects)[new]
    years[new] = births.astype("datetime64[Y]").astype(np.int64) + 1970
    letters = np.empty((len(objects), 12), np.uint8)
    letters[:, :3] = np.frombuffer(b"ZTF", np.uint8)
    letters[:, 3], letters[:, 4] = ord("0") + years // 10 % 10, ord("0") + years % 10
    letters[:, 5:] = _seven_letters(objects)
    return letters


def candids(objects: IntArray, day: IntArray, jd: FloatArray) -> IntArray:
    """Alert ids in ZTF's form: night number, five digits of the fraction of the day, ten more, which here are the object's number."""
    fraction = np.floor((jd - MJD_ZERO_JD - day) * 1e5).astype(np.int64)
    return ((day - _NID_ZERO) * 10**5 + fraction) * _OBJECTS + objects


def is_replayed(name: str, candid: int | None) -> bool:
    """Whether an object's name and the id of one of its alerts are those of a replay, of whatever sky."""
    return candid is not None and name[5:].encode() == _seven_letters(np.array([candid % _OBJECTS])).tobytes()


def night_numbers(day: IntArray) -> IntArray:
    """ZTF's `nid`."""
    return day - _NID_ZERO


def exposures(sky: Sky, observed_by: IntArray, days: IntArray) -> Exposures:
    """What fields observed_by (B,) took on days (B, K), in order of time: two exposures a night."""
    nightly = random.keys(sky.seed, _EXPOSURE, observed_by[:, None], days)
    begin = 0.15 + 0.25 * random.uniforms(random.keys(nightly, 0))  # Palomar's night is from 0.1 to 0.56 of the UT day
    gap = 0.02 + 0.03 * random.uniforms(random.keys(nightly, 1))
    red_first = (nightly & np.uint64(1)).astype(np.int64)
    transparency = random.normals(random.keys(nightly, 2))[0]
    seeing = 2.0 + 0.8 * random.uniforms(random.keys(nightly, 3))
    each = [(begin, 1 + red_first, 0.0), (begin + gap, 2 - red_first, 0.3)]

    def joined(first: NDArray[np.generic], second: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.stack((first, second), axis=2).reshape(len(observed_by), 2 * days.shape[1])

    return Exposures(
        joined(days, days).astype(np.int64),
        joined(*(np.round(days + MJD_ZERO_JD + fraction, 7) for fraction, _, _ in each)).astype(np.float64),
        joined(*(fid for _, fid, _ in each)).astype(np.int64),
        joined(*(20.4 + 0.45 * transparency - later for _, _, later in each)).astype(np.float64),
        joined(seeing, seeing * 1.05).astype(np.float64),
    )


def history_days(sky: Sky, observed_by: IntArray) -> IntArray:
    """(B, history_nights) MJD of the nights before the replay on which the fields observed_by were observed."""
    latest = sky.first_day - 1 - (sky.first_day - 1 - field_thirds()[observed_by]) % CADENCE
    return latest[:, None] - CADENCE * np.arange(sky.history_nights - 1, -1, -1)


def is_observed(day: int) -> NDArray[np.bool_]:
    """(N_FIELDS,) whether a field is observed on a night: a third of the sky, 120 degrees of right ascension."""
    return field_thirds() == day % CADENCE


@lru_cache(maxsize=1)
def field_thirds() -> IntArray:
    """(N_FIELDS,) 0, 1 or 2: the third of the sky in right ascension."""
    from astropy_healpix.healpy import pix2ang

    ra, _ = pix2ang(2**FIELD_ORDER, np.arange(N_FIELDS), nest=True, lonlat=True)
    thirds = np.asarray(ra // 120.0, np.int64) % CADENCE
    thirds.setflags(write=False)
    return thirds


def n_touched(n_alerts: int) -> int:
    """How many objects a night of n_alerts touches."""
    rounds, rest = divmod(n_alerts, int(_ALERTS_BEFORE[-1]))
    return len(_ALERTS) * rounds + int(np.searchsorted(_ALERTS_BEFORE, rest))


def touched(sky: Sky, night: dt.date, n_alerts: int, known_fraction: float, first: int, last: int) -> Touched:
    """Touched objects number first to last - 1 of the night; known_fraction of all are known before the replay, no object comes twice.

    The known ones are spread evenly over the third of the sky that the night observes, in order; the new ones lie anywhere in it.
    """
    day = mjd_of(night)
    slots = np.arange(first, last, dtype=np.int64)
    known_before = np.floor(slots * known_fraction).astype(np.int64)
    is_known = np.floor((slots + 1) * known_fraction).astype(np.int64) > known_before
    n_known = int(np.floor(n_touched(n_alerts) * known_fraction))
    chosen = np.empty(len(slots), np.int64)
    chosen[is_known] = _known_objects(sky, day, known_before[is_known], n_known)
    chosen[~is_known] = NEW_OBJECTS + (day - sky.first_day) * _NEW_A_NIGHT + (slots - known_before)[~is_known]
    rounds, place = np.divmod(slots, len(_ALERTS))
    before = rounds * _ALERTS_BEFORE[-1] + _ALERTS_BEFORE[place]
    return Touched(chosen, np.minimum(_ALERTS[place], n_alerts - before))


def check_night(sky: Sky, night: dt.date, n_alerts: int, known_fraction: float) -> None:
    """UsageError where the night cannot be replayed on this sky."""
    if n_alerts < 0 or not 0.0 <= known_fraction <= 1.0:
        raise UsageError(f"expected 0 alerts or more and a fraction of known objects, found {n_alerts} and {known_fraction}")
    day = mjd_of(night)
    if day < sky.first_day:
        raise UsageError(f"night {night}: the history reaches to the day before {sky.first_night}; expected that night or a later one")
    if not 0 < day - _NID_ZERO <= _LARGEST_NID:
        raise UsageError(f"night {night}: expected one that ZTF's ids can number, 2017-01-02 to 2029-08-16")
    n_objects = n_touched(n_alerts)
    n_new = n_objects - int(n_objects * known_fraction)
    if n_new > _NEW_A_NIGHT or (NEW_OBJECTS + (day - sky.first_day + 1) * _NEW_A_NIGHT) > _LETTERS:
        raise UsageError(f"night {night}: {n_new:,} new objects on day {day - sky.first_day} of the replay leave no room for their names")
    there = int(_footprint(sky, day)[1][-1])
    if n_objects - n_new > there:
        raise UsageError(
            f"{n_alerts:,} alerts on {n_objects - n_new:,} known objects: only {there:,} are observed that night; more known objects, please"
        )


def _seven_letters(objects: IntArray) -> NDArray[np.uint8]:
    """(N, 7) the part of a name that is the object's number."""
    scrambled = objects * _SCRAMBLE % _LETTERS
    places = 26 ** np.arange(6, -1, -1, dtype=np.int64)
    return (ord("a") + scrambled[:, None] // places % 26).astype(np.uint8)


def _known_objects(sky: Sky, day: int, ordinal: IntArray, n_known: int) -> IntArray:
    """The ordinal-th of n_known objects in the night's third of the sky: one of each of n_known equal parts of it, picked at random."""
    if not n_known:
        return ordinal
    begins, counts = _footprint(sky, day)
    low, high = ordinal * counts[-1] // n_known, (ordinal + 1) * counts[-1] // n_known
    picked = low + (random.keys(sky.seed, _PICK, day, ordinal) % (high - low).astype(np.uint64)).astype(np.int64)
    field = np.searchsorted(counts, picked, side="right") - 1
    return begins[field] + picked - counts[field]


def _footprint(sky: Sky, day: int) -> tuple[IntArray, IntArray]:
    """Of the fields observed on a night: number of the first known object in each, and how many are in all fields before it (and in all)."""
    observed = np.flatnonzero(is_observed(day))
    begins = _first_objects(sky, observed)
    return begins, np.concatenate(([0], np.cumsum(_first_objects(sky, observed + 1) - begins)))


def _first_objects(sky: Sky, of_fields: IntArray) -> IntArray:
    """(F,) number of the first known object in a field or after it."""
    if not sky.n_known:
        return np.zeros(len(of_fields), np.int64)
    width = np.int64(_FINE_PIXELS // sky.n_known)
    return np.minimum(-(-(of_fields << _FIELD_BITS) // width), sky.n_known)


def _pixels(sky: Sky, objects: IntArray) -> tuple[IntArray, IntArray]:
    """Field and fine pixel of each object. A known one has the field in which its part of the sky begins."""
    draws = random.keys(object_keys(sky, objects), _POSITION)
    width = np.int64(_FINE_PIXELS // max(1, sky.n_known))
    begin = np.where(objects < NEW_OBJECTS, objects, 0) * width
    field, pixel = begin >> _FIELD_BITS, begin + (draws % np.uint64(width)).astype(np.int64)
    for day in np.unique(born_on(sky, objects[objects >= NEW_OBJECTS])):
        new = born_on(sky, objects) == day
        observed = np.flatnonzero(is_observed(int(day)))
        field[new] = observed[(random.keys(draws[new], 0) % np.uint64(len(observed))).astype(np.int64)]
        pixel[new] = (field[new] << _FIELD_BITS) + (draws[new] >> np.uint64(64 - int(_FIELD_BITS))).astype(np.int64)
    return field, pixel
