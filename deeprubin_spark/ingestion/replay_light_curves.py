"""Light curves of the replayed sky: what each exposure measures of an object, detection or upper limit, in the survey's own quantities.

An object varies as s(t), scaled so that its history holds enough detections; an exposure with noise sigma measures

    F = A s(t) + sigma z,   sigma^2 = (F_lim / 5)^2 + (0.02 A s)^2,   z normal within 3 sigma,        a detection where |F| >= 5 sigma, else a limit.

Every exposure of the replay's own nights is a detection: its alerts are given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.ingestion import replay_sky
from deeprubin_spark.ingestion.replay_sky import FloatArray, IntArray, Sky
from deeprubin_spark.kernels import counter_random as random
from deeprubin_spark.kernels.nights import MJD_ZERO_JD
from deeprubin_spark.kernels.photometry import MAG_PER_RELATIVE_FLUX, ab_magnitude, limit_njy

DETECTION_SN = 5.0
DETECTED_FRACTION = 0.64  # of an object's exposures before the replay, at least: 52 of 80
DETECTED_NIGHTS = 0.77  # of its nights, at least: 31 of 40
# The signal-to-noise of these before noise: with the error floor, noise of -3 sigma leaves a detection.
_SURE_SN = 8.2
_NOISE_LIMIT = 3.0
ERROR_FLOOR = 0.02  # of the flux
_POSITION_ERR = 0.12 / 3600.0  # [deg]
_LAST_STREAM = 10  # streams of an object's random numbers below this are replay_sky's
(_KIND, _BRIGHTNESS, _COLOUR, _REFERENCE, _READOUT, _STAR) = range(_LAST_STREAM, _LAST_STREAM + 6)
_SHAPE = _LAST_STREAM + 6  # and above: the shape's own

Keys = random.Keys
Float32 = NDArray[np.float32]


class Objects(NamedTuple):
    """Objects with what belongs to each of them, arrays (B,) or (B, 2) for g and r.

    number : in the sky   key : of its random numbers   field, rcid : where it lies   ra, dec [deg]   kind : position in KINDS
    scale [nJy] : the factor A   colour : flux in r over flux in g
    distnr [pix], magnr, sigmagnr [mag] : (B, 2) nearest source in the reference image   sgscore, distpsnr [arcsec] : nearest PS1 source
    jd_first [JD] : `jdstarthist`, the night of the first detection, or for those known before the replay the night their history begins
    jd_reference [JD] : `jdendref`, last exposure of the reference image, before everything else
    """

    number: IntArray
    name: NDArray[np.uint8]
    key: Keys
    field: IntArray
    rcid: IntArray
    ra: FloatArray
    dec: FloatArray
    kind: IntArray
    scale: FloatArray
    colour: FloatArray
    distnr: Float32
    magnr: Float32
    sigmagnr: Float32
    sgscore: Float32
    distpsnr: Float32
    jd_first: FloatArray
    jd_reference: FloatArray


class Visits(NamedTuple):
    """Exposures of B objects in order of time and what they measured, each array (B, V).

    day [MJD], jd [d], fid, candid; flux, flux_err [nJy]: measured everywhere, and where is_detection published as magpsf, sigmapsf [mag] with position
    ra, dec [deg]; diffmaglim [mag]; rb, drb, fwhm [pix], elong, nbad : quality of a detection
    """

    day: IntArray
    jd: FloatArray
    fid: IntArray
    candid: IntArray
    is_detection: NDArray[np.bool_]
    flux: FloatArray
    flux_err: FloatArray
    magpsf: Float32
    sigmapsf: Float32
    diffmaglim: Float32
    ra: FloatArray
    dec: FloatArray
    rb: Float32
    drb: Float32
    fwhm: Float32
    elong: Float32
    nbad: IntArray

    def at(self, *index: IntArray) -> Visits:
        """Those at an index of the arrays."""
        return Visits._make(values[index] for values in self)


def objects(sky: Sky, numbers: IntArray) -> Objects:
    """What is known of objects of these numbers (B,). Their scale is that of the faintest detection their history must have."""
    key, field = replay_sky.object_keys(sky, numbers), replay_sky.fields(sky, numbers)
    ra, dec = replay_sky.positions(sky, numbers)
    kind = np.searchsorted(np.cumsum(SHARES)[:-1], _uniform(key, _KIND), side="right")
    colour = 10.0 ** (0.4 * (1.2 * _uniform(key, _COLOUR) - 0.4))
    rcid = (random.keys(key, _READOUT) % np.uint64(64)).astype(np.int64)
    scale, largest = _scale(sky, key, field, rcid, kind, colour)
    distnr, magnr, sigmagnr = _reference(key, kind, colour, scale * largest)
    is_star = IS_STAR[kind]
    sgscore = np.where(is_star, 0.9 + 0.1 * _uniform(key, _STAR), 0.4 * _uniform(key, _STAR)).astype(np.float32)
    distpsnr = (distnr[:, 0] * 1.01).astype(np.float32)
    jd_first = np.maximum(replay_sky.born_on(sky, numbers), sky.history_begin) + MJD_ZERO_JD
    jd_reference = np.full(len(numbers), sky.history_begin - 40.0 + MJD_ZERO_JD)
    near = (distnr, magnr, sigmagnr, sgscore, distpsnr)
    name = replay_sky.object_names(sky, numbers)
    return Objects(numbers, name, key, field, rcid, ra, dec, kind, scale, colour, *near, jd_first, jd_reference)


def visits(sky: Sky, of: Objects, days: IntArray) -> Visits:
    """What the exposures of days (B, K) measured of the objects; days on which their fields were observed, in order. V = 2 K."""
    seen = _exposures(sky, of.field, days)
    diffmaglim = _depth(seen.limit, of.rcid)
    key = random.keys(of.key[:, None], seen.day * replay_sky.VISITS + seen.fid - 1)
    noise = random.keys(key, 0)
    signal = of.scale[:, None] * _shapes(sky, of.key, of.kind, of.colour, noise, seen.jd, seen.fid)
    born = replay_sky.born_on(sky, of.number)[:, None]
    flux, flux_err = _measured(np.where(seen.day < born, 0.0, signal), diffmaglim, noise)
    is_replayed = (seen.day >= sky.first_day) & (seen.day >= born)
    flux = np.where(is_replayed, _raised(flux, flux_err, noise), flux)
    is_detection = (np.abs(flux) >= DETECTION_SN * flux_err) & (seen.day >= born)
    size = np.maximum(np.abs(flux), 1e-3)
    east, north = random.normals(random.keys(key, 1))
    rb, drb, fwhm, elong, nbad = _quality(random.keys(key, 2), seen.seeing)
    return Visits(
        seen.day,
        seen.jd,
        seen.fid,
        replay_sky.candids(of.number[:, None], seen.day, seen.jd),
        is_detection,
        flux,
        flux_err,
        ab_magnitude(size).astype(np.float32),
        (MAG_PER_RELATIVE_FLUX * flux_err / size).astype(np.float32),
        diffmaglim,
        (of.ra[:, None] + _POSITION_ERR * east / np.cos(np.radians(of.dec))[:, None]) % 360.0,
        np.clip(of.dec[:, None] + _POSITION_ERR * north, -90.0, 90.0),
        rb,
        drb,
        fwhm,
        elong,
        nbad,
    )


def of_band(values: NDArray[np.generic], fid: IntArray) -> NDArray[np.generic]:
    """(B, V) the value of each exposure's band, of values (B, 2) for g and r."""
    return np.where(fid == 1, values[:, :1], values[:, 1:])


def in_history(jd: FloatArray, jd_packet: FloatArray) -> NDArray[np.bool_]:
    """(B, V) which visits at jd are in the history of a packet of jd_packet (B, 1): those of the 30 days before."""
    return (jd < jd_packet) & (jd > jd_packet - replay_sky.HISTORY_DAYS)


def _exposures(sky: Sky, field: IntArray, days: IntArray) -> replay_sky.Exposures:
    """`replay_sky.exposures`, made once for all objects of a field: fields of one third of the sky share their days."""
    unique, first, position = np.unique(field, return_index=True, return_inverse=True)
    seen = replay_sky.exposures(sky, unique, days[first])
    return replay_sky.Exposures._make(np.ascontiguousarray(values[position.ravel()]) for values in seen)


def _depth(limit: FloatArray, rcid: IntArray) -> Float32:
    """(B, V) `diffmaglim`: readout channels differ by some hundredths."""
    return (limit + 0.002 * (rcid[:, None] - 32)).astype(np.float32)


def _scale(sky: Sky, key: Keys, field: IntArray, rcid: IntArray, kind: IntArray, colour: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Factor A of each object, and its largest |s|: the exposures and nights that must be detected have at least a sure signal-to-noise."""
    days = replay_sky.history_days(sky, field)
    if not days.size:
        days = np.broadcast_to(np.int64(sky.first_day), (len(field), 1))
    seen = _exposures(sky, field, days)
    exposure_key = random.keys(key[:, None], seen.day * replay_sky.VISITS + seen.fid - 1)
    shape = np.abs(_shapes(sky, key, kind, colour, random.keys(exposure_key, 0), seen.jd, seen.fid))
    deep = limit_njy(_depth(seen.limit, rcid).astype(np.float64)) / DETECTION_SN
    ratio = shape / deep
    nightly = ratio.reshape(*days.shape, replay_sky.VISITS).max(axis=2)
    faintest = np.minimum(_largest(ratio, DETECTED_FRACTION), _largest(nightly, DETECTED_NIGHTS))
    brighter = np.minimum(-0.35 * np.log(_uniform(key, _BRIGHTNESS)), 4.0)  # [mag] faint objects are the most
    return _SURE_SN / faintest * 10.0 ** (0.4 * brighter), shape.max(axis=1)


def _largest(values: FloatArray, fraction: float) -> FloatArray:
    """(B,) the value that a fraction of each row (B, n) reaches."""
    n = values.shape[1]
    rank = n - int(np.ceil(fraction * n))
    return np.partition(values, rank, axis=1)[:, rank]


def _measured(signal: FloatArray, diffmaglim: Float32, noise: Keys) -> tuple[FloatArray, FloatArray]:
    background = limit_njy(diffmaglim.astype(np.float64)) / DETECTION_SN
    flux_err = np.hypot(background, ERROR_FLOOR * signal)
    deviation = np.clip(random.normals(noise)[0], -_NOISE_LIMIT, _NOISE_LIMIT)
    return signal + flux_err * deviation, flux_err


def _raised(flux: FloatArray, flux_err: FloatArray, noise: Keys) -> FloatArray:
    """The fluxes, those that are no detection brought to between 5.05 and 7 sigma."""
    least = DETECTION_SN + 0.05 + 1.95 * random.uniforms(random.keys(noise, 1))
    raised = np.where(flux < 0.0, -least, least) * flux_err
    return np.where(np.abs(flux) < DETECTION_SN * flux_err, raised, flux)


def _quality(words: Keys, seeing: FloatArray) -> tuple[Float32, Float32, Float32, Float32, IntArray]:
    """Scores rb (in ZTF's steps) and drb, fwhm [pix], elong, nbad of a detection; a few fail a cut."""
    bad, spread, stretch, score = (((words >> np.uint64(16 * i)) & np.uint64(0xFFFF)).astype(np.float64) / 65536.0 for i in range(4))
    rb = np.round(350.0 * (1.0 - 0.6 * score**3)) / 350.0
    drb = 1.0 - 0.7 * score**8
    nbad = np.where(bad < 0.03, 1 + np.floor(bad * 100.0), 0.0).astype(np.int64)
    return (
        rb.astype(np.float32),
        drb.astype(np.float32),
        (seeing * (0.9 + 0.25 * spread)).astype(np.float32),
        (1.0 + 0.25 * stretch**2).astype(np.float32),
        nbad,
    )


def _reference(key: Keys, kind: IntArray, colour: FloatArray, largest: FloatArray) -> tuple[Float32, Float32, Float32]:
    """distnr, magnr, sigmagnr (B, 2): a star is its own reference and brighter than it ever varies; a transient has a galaxy near."""
    draws = [_uniform(random.keys(key, _REFERENCE), i) for i in range(4)]
    star, galaxy = ab_magnitude(largest * (1.3 + 3.0 * draws[0])), 17.0 + 5.0 * draws[0]
    magnr = np.where(IS_STAR[kind], star, galaxy)
    distnr = np.where(IS_STAR[kind], 0.05 + 0.8 * draws[1] ** 2, 0.3 + 12.0 * draws[1] ** 2)
    both = np.stack((magnr, magnr - np.where(IS_STAR[kind], 2.5 * np.log10(colour), 0.6)), axis=1)
    near = np.stack((distnr, distnr * (0.8 + 0.4 * draws[2])), axis=1)
    err = np.stack((0.01 + 0.05 * draws[3], 0.01 + 0.04 * draws[3]), axis=1)
    return near.astype(np.float32), both.astype(np.float32), err.astype(np.float32)


def _shapes(sky: Sky, key: Keys, kind: IntArray, colour: FloatArray, noise: Keys, jd: FloatArray, fid: IntArray) -> FloatArray:
    """(B, V) s of the exposures at jd in filter fid; never zero for long. t [d] counts from the begin of the history."""
    t = jd - (sky.history_begin + MJD_ZERO_JD)
    values = np.empty(jd.shape)
    for number, shape in enumerate(KINDS):
        rows = np.flatnonzero(kind == number)
        values[rows] = shape(key[rows, None], t[rows], noise[rows])
    return values * np.where(fid == 2, colour[:, None], 1.0)


def _uniform(key: Keys, stream: int) -> FloatArray:
    return random.uniforms(random.keys(key, stream))


def _log_uniform(key: Keys, stream: int, low: float, high: float) -> FloatArray:
    values: FloatArray = low * (high / low) ** _uniform(key, stream)
    return values


def _supernova(key: Keys, t: FloatArray, noise: Keys) -> FloatArray:
    """exp(-x / fall) / (1 + exp(-x / rise)), x = t - t0 (Bazin et al. 2009), t0 about when the history begins."""
    fall, rise = 35.0 + 50.0 * _uniform(key, _SHAPE), 2.0 + 4.0 * _uniform(key, _SHAPE + 1)
    x = t - (20.0 * _uniform(key, _SHAPE + 2) - 8.0)
    return np.exp(-x / fall) / (1.0 + np.exp(-x / rise))


def _pulsator(key: Keys, t: FloatArray, noise: Keys) -> FloatArray:
    """Two harmonics of a period of 0.2 to 100 d."""
    phase = 2.0 * np.pi * (t / _log_uniform(key, _SHAPE, 0.2, 100.0) + _uniform(key, _SHAPE + 1))
    return np.sin(phase) + 0.5 * _uniform(key, _SHAPE + 2) * np.sin(2.0 * phase + 6.0 * _uniform(key, _SHAPE + 3))


def _eclipsing(key: Keys, t: FloatArray, noise: Keys) -> FloatArray:
    """Two dips a period of 0.25 to 10 d, of different depth, and ellipsoidal variation between them; fainter than the reference."""
    angle = np.pi * (t / _log_uniform(key, _SHAPE, 0.25, 10.0) + _uniform(key, _SHAPE + 1))
    width = 2.0 + 12.0 * _uniform(key, _SHAPE + 2)
    second = 0.2 + 0.8 * _uniform(key, _SHAPE + 3)
    return -(0.15 + 0.2 * np.cos(2.0 * angle) ** 2 + np.abs(np.cos(angle)) ** width + second * np.abs(np.sin(angle)) ** width)


def _damped_random_walk(key: Keys, t: FloatArray, noise: Keys) -> FloatArray:
    """Sum of waves with the power spectrum of a damped random walk, S ~ 1 / (1 + (omega tau)^2) (Kelly et al. 2009), tau 20 to 300 d."""
    tau = _log_uniform(key, _SHAPE, 20.0, 300.0)
    values = np.zeros(t.shape)
    for wave in range(10):
        omega = 2.0 * np.pi / 1500.0 * 2.0 ** (wave + _uniform(key, _SHAPE + 1 + wave))
        amplitude = np.sqrt(omega / (1.0 + (omega * tau) ** 2))
        values += amplitude * np.cos(omega * t + 2.0 * np.pi * _uniform(key, _SHAPE + 11 + wave))
    return values


def _flare(key: Keys, t: FloatArray, noise: Keys) -> FloatArray:
    """A rise of days and a fall as t^(-5/3), as of a disrupted star (Rees 1988), about when the history begins."""
    x = (t - (12.0 * _uniform(key, _SHAPE) - 6.0)) / (15.0 + 45.0 * _uniform(key, _SHAPE + 1))
    return np.where(x < 0.0, np.exp(-((x / 0.3) ** 2)), (1.0 + np.maximum(x, 0.0)) ** (-5.0 / 3.0))


def _steady(key: Keys, t: FloatArray, noise: Keys) -> FloatArray:
    """A constant difference from the reference, such as of a star that moved, seen with scatter of its own: nothing but noise."""
    sign = np.where(_uniform(key, _SHAPE) < 0.5, -1.0, 1.0)
    return sign * np.exp(0.35 * np.clip(random.normals(random.keys(noise, 2))[0], -3.0, 3.0))


KINDS: tuple[Callable[[Keys, FloatArray, Keys], FloatArray], ...] = (
    _supernova,
    _pulsator,
    _eclipsing,
    _damped_random_walk,
    _flare,
    _steady,
)
# Of all objects. Most of what alerts night after night for years are variable stars and active nuclei.
SHARES = np.array([0.012, 0.345, 0.270, 0.245, 0.003, 0.125])
IS_STAR = np.array([False, True, True, False, False, True])
