"""The evidence of a Gaussian process for many candidate parameters at once; formulas, units and sources stand in `gaussian_process.py`.

The evidence is a Kalman filter over the points in order of time, O(n), equal to the dense one of the plain twin. It runs for `LANES`
candidate parameters of one object in lock step, which the compiler turns into vector instructions. Each band b is a process f_b with
state (f_b, z_b), z = f + f' l / sqrt(3), which moves over a time dt by F = e^-x [[1, x], [0, 1]], x = sqrt(3) dt / l; the stationary
covariance of two bands is A^2 R_bc [[1, 1], [1, 2]] (Hartikainen & Sarkka 2010, in another basis). D = P less that stationary covariance
obeys D <- F D F^T: no process noise is formed. One or two bands, the night's case, have code of their own; `_sweep_bands` takes any.

A candidate is u = (ln l, ln A, ln(jitter^2 + e^2), ln wavelength scale) in units of the flux scale; e^2, the object's `spare`, is half its
least noise variance: so no jitter is a finite place.

Compiled functions call only functions of their own file: numba's cache notices a change of that file, not of another one. Every object is
computed by itself, so its result does not depend on the batch it came in.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

TIMESCALE_PRIOR_MEDIAN = 22.0  # [d]
TIMESCALE_PRIOR_SIGMA = 1.0  # of ln l
AMPLITUDE_RANGE = 1000.0  # A lies within this factor of the flux scale, either way
WAVELENGTH_SCALE = 6000.0  # [Angstrom] Boone 2019
WAVELENGTH_SCALE_PRIOR_SIGMA = 0.5  # of its ln, where it is fitted
WAVELENGTH_SCALE_RANGE = 5.0  # it lies within this factor of WAVELENGTH_SCALE, either way
JITTER_MAX = 1.5  # largest jitter^2, of the mean squared flux
NOISE_FLOOR = 1e-12  # least noise variance, of the squared flux scale: double precision cannot hold a filter with less
_PER_SCALE = 24  # predicted variances, of 1e-12 to 1e6 in their unit, whose product with 2^40 or 2^-40 stays a double
LANES = 16
OK, TOO_FEW_POINTS, BAD_INPUT, FIT_FAILED = range(4)

_SQRT3 = math.sqrt(3.0)
_LOG_2 = math.log(2.0)
_LOG_2PI = math.log(2.0 * math.pi)
_FASTMATH = {"reassoc", "contract", "arcp", "nsz"}  # sums in any order; NaN and infinity keep their meaning

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Bands = NDArray[np.int8]
Room = tuple[Floats, Floats, Floats, Floats, Floats]  # see `_sweep_bands`
Curve = tuple[
    Floats, Rows, Floats, Floats, Floats, Floats
]  # time [d], row of its band, flux, noise variance, 1 / (1 + noise): (n,); bands (M,) [A]


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _decay(x: float) -> float:
    """e^-x for x >= 0, at most e^-60: a polynomial of r = -x / 128 to the power 128. Relative error 1e-14 for x < 1, 1e-12 at 60.

    Exactly 1 at x = 0, or points of one time would not be. Not `math.exp`: a call would keep the lanes from running together.
    """
    r = (x if x < 60.0 else 60.0) * -0.0078125
    p = 2.2597378119826317e-06
    p = p * r + 2.4412696348008467e-05
    p = p * r + 0.00019825096728709468
    p = p * r + 0.0013888513406783431
    p = p * r + 0.008333328579890775
    p = p * r + 0.04166666637033742
    p = p * r + 0.16666666665961286
    p = p * r + 0.49999999999997236
    p = (p * r + 1.0) * r + 1.0
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return p * p


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _absorb(
    w: Floats, k: int, flux: float, noise: float, unit: float, state: int, block: int, other_state: int, other_block: int, fz: int, zf: int
) -> None:
    """Move lane k of the two-band filter to a point and take in its flux (see `_sweep_two_bands` for the layout of w).

    point : flux, noise variance, 1 / (1 + noise)      rows : state and D of the point's own band, of the other, their (f, z) and (z, f)
    """
    x, decay = w[16 * LANES + k], w[17 * LANES + k]
    square = decay * decay
    z0, z1 = w[state + LANES + k], w[other_state + LANES + k]
    f0, f1 = decay * (w[state + k] + x * z0), decay * (w[other_state + k] + x * z1)
    z0, z1 = decay * z0, decay * z1
    p11, p01 = w[block + 2 * LANES + k], w[block + LANES + k]
    p01x = p01 + x * p11
    p00, p01, p11 = square * (w[block + k] + x * (p01 + p01x)), square * p01x, square * p11
    q11, q01 = w[other_block + 2 * LANES + k], w[other_block + LANES + k]
    q01x = q01 + x * q11
    q00, q01, q11 = square * (w[other_block + k] + x * (q01 + q01x)), square * q01x, square * q11
    c11, c10 = w[13 * LANES + k], w[zf + k]
    c01 = w[fz + k] + x * c11
    c00, c10 = square * (w[10 * LANES + k] + x * (c10 + c01)), square * (c10 + x * c11)
    c01, c11 = square * c01, square * c11
    h0, h1 = p00 + w[18 * LANES + k], p01 + w[18 * LANES + k]
    h2, h3 = c00 + w[19 * LANES + k], c01 + w[19 * LANES + k]
    predicted = (h0 if h0 > 0.0 else 0.0) + (noise + w[20 * LANES + k])
    precision = 1.0 / predicted
    residual = flux - f0
    gain = residual * precision
    w[state + k], w[state + LANES + k] = f0 + h0 * gain, z0 + h1 * gain
    w[other_state + k], w[other_state + LANES + k] = f1 + h2 * gain, z1 + h3 * gain
    w[14 * LANES + k] += residual * gain
    w[15 * LANES + k] *= predicted * unit
    g0, g1, g2, g3 = h0 * precision, h1 * precision, h2 * precision, h3 * precision
    w[block + k], w[block + LANES + k], w[block + 2 * LANES + k] = p00 - g0 * h0, p01 - g0 * h1, p11 - g1 * h1
    w[other_block + k], w[other_block + LANES + k] = q00 - g2 * h2, q01 - g2 * h3
    w[other_block + 2 * LANES + k] = q11 - g3 * h3
    w[10 * LANES + k], w[13 * LANES + k] = c00 - g0 * h2, c11 - g1 * h3
    w[fz + k], w[zf + k] = c01 - g0 * h3, c10 - g1 * h2


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _halve_power(product: float, power: float, step: float, large: float, scale: float) -> tuple[float, float]:
    """A product above `large` = 2^(step / 2), or below its inverse, by 2^step = `scale` closer to 1, and the power of two taken out so far."""
    factor = 1.0 / scale if product > large else (scale if product < 1.0 / large else 1.0)
    taken = step if product > large else (-step if product < 1.0 / large else 0.0)
    return product * factor, power + taken


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _scale_down(product: float) -> tuple[float, float]:
    """A product within 2^40 and 2^-40, and the power of two taken out of it: no logarithm, so that it runs in vectors."""
    product, power = _halve_power(product, 0.0, 640.0, 2.0**320, 2.0**640)
    product, power = _halve_power(product, power, 320.0, 2.0**160, 2.0**320)
    product, power = _halve_power(product, power, 160.0, 2.0**80, 2.0**160)
    return _halve_power(product, power, 80.0, 2.0**40, 2.0**80)


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _sweep_two_bands(curve: Curve, w: Floats, value: Floats) -> None:
    """Log evidence of one object, less its constant, for LANES candidates; row 1 is the second band, if there is one.

    w holds rows of LANES numbers: 0 to 3 the state (f, z) of band 0 and of band 1; 4 to 6 and 7 to 9 their D (ff, fz, zz); 10 to 13 the D
    between them (ff, fz, zf, zz); 14 the sum of squares; 15 the product of predicted variances; 16, 17 x and e^-x; and the candidates:
    18 A^2, 19 A^2 R_01, 20 jitter^2, 21 sqrt(3) / l.
    """
    time, rows, flux, noise, unit, _ = curve
    for k in range(15 * LANES):
        w[k] = 0.0
    w[15 * LANES : 16 * LANES] = 1.0
    value[:], left = 0.0, _PER_SCALE
    for i in range(len(time)):
        gap = time[i] - time[i - 1] if i > 0 else 0.0
        for k in range(LANES):
            x = w[21 * LANES + k] * gap
            w[16 * LANES + k] = x
            w[17 * LANES + k] = _decay(x)
        f, n, u = flux[i], noise[i], unit[i]
        if rows[i] == 0:
            for k in range(LANES):
                _absorb(w, k, f, n, u, 0, 4 * LANES, 2 * LANES, 7 * LANES, 11 * LANES, 12 * LANES)
        else:
            for k in range(LANES):
                _absorb(w, k, f, n, u, 2 * LANES, 7 * LANES, 0, 4 * LANES, 12 * LANES, 11 * LANES)
        left -= 1
        if left == 0:
            left = _PER_SCALE
            for k in range(LANES):
                w[15 * LANES + k], power = _scale_down(w[15 * LANES + k])
                value[k] += power * _LOG_2
    for k in range(LANES):
        value[k] = -0.5 * (w[14 * LANES + k] + value[k] + math.log(w[15 * LANES + k]))


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _move_block(head: Floats, pulls: Floats, a: int, b: int, blocks: Floats, block: int) -> None:
    """Take the last point out of the block of D of bands a and b, which felt it by pulls[a] and pulls[b], and move it in time; all lanes."""
    for k in range(LANES):
        x, decay, precision = head[0, k], head[1, k], head[2, k]
        square = decay * decay
        a0, a1 = precision * pulls[a, 0, k], precision * pulls[a, 1, k]
        b0, b1 = pulls[b, 0, k], pulls[b, 1, k]
        p00, p01 = blocks[block, 0, k] - a0 * b0, blocks[block, 1, k] - a0 * b1
        p10, p11 = blocks[block, 2, k] - a1 * b0, blocks[block, 3, k] - a1 * b1
        p01 += x * p11
        blocks[block, 0, k] = square * (p00 + x * (p10 + p01))
        blocks[block, 1, k] = square * p01
        blocks[block, 2, k] = square * (p10 + x * p11)
        blocks[block, 3, k] = square * p11


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _move_state(head: Floats, pulls: Floats, a: int, states: Floats) -> None:
    """Take the last point into the state (f, z) of band a, and move it in time; all lanes."""
    for k in range(LANES):
        x, decay, gain = head[0, k], head[1, k], head[3, k]
        z = states[a, 1, k] + gain * pulls[a, 1, k]
        states[a, 0, k] = decay * (states[a, 0, k] + gain * pulls[a, 0, k] + x * z)
        states[a, 1, k] = decay * z


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _feel(blocks: Floats, block: int, slope: int, stationary: Floats, a: int, own: int, pulls: Floats) -> None:
    """Covariance of band a's (f, z) with the flux of the point's own band, from rows 0 and `slope` of their block of D; all lanes."""
    for k in range(LANES):
        pulls[a, 0, k] = blocks[block, 0, k] + stationary[a, own, k]
        pulls[a, 1, k] = blocks[block, slope, k] + stationary[a, own, k]


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always", error_model="numpy")
def _weigh(pulls: Floats, states: Floats, own: int, flux: float, noise: float, unit: float, head: Floats) -> None:
    """Precision, gain, sum of squares and product of predicted variances for a point of band `own`; all lanes."""
    for k in range(LANES):
        latent = pulls[own, 0, k]
        predicted = (latent if latent > 0.0 else 0.0) + (noise + head[6, k])
        precision = 1.0 / predicted
        residual = flux - states[own, 0, k]
        head[2, k] = precision
        head[3, k] = residual * precision
        head[4, k] += residual * residual * precision
        head[5, k] *= predicted * unit


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _sweep_bands(curve: Curve, room: Room, value: Floats) -> None:
    """`_sweep_two_bands` for any number M of bands.

    Rows of LANES numbers, in arrays of their own or the compiler would fear that they overlap. head (8, LANES): 0, 1 x and e^-x; 2, 3
    precision and gain of the last point; 4 sum of squares; 5 product of predicted variances; 6 jitter^2; 7 sqrt(3) / l. stationary
    (M, M, LANES) A^2 R; states (M, 2, LANES) (f, z) of the bands; pulls (M, 2, LANES) how each felt the last point; blocks of D
    (M (M + 1) / 2, 4, LANES) as (ff, fz, zf, zz), its lower triangle row by row.
    """
    time, rows, flux, noise, unit, bands = curve
    n_bands = len(bands)
    head, stationary, states, pulls, blocks = room
    states[:], pulls[:], blocks[:], value[:] = 0.0, 0.0, 0.0, 0.0
    head[2:5], head[5] = 0.0, 1.0
    for i in range(len(time)):
        gap = time[i] - time[i - 1] if i > 0 else 0.0
        for k in range(LANES):
            x = head[7, k] * gap
            head[0, k] = x
            head[1, k] = _decay(x)
        for a in range(n_bands):
            _move_state(head, pulls, a, states)
            for b in range(a + 1):
                _move_block(head, pulls, a, b, blocks, a * (a + 1) // 2 + b)
        own = rows[i]
        for a in range(n_bands):
            low, high = min(a, own), max(a, own)
            _feel(blocks, high * (high + 1) // 2 + low, 2 if a >= own else 1, stationary, a, own, pulls)
        _weigh(pulls, states, own, flux[i], noise[i], unit[i], head)
        if (i & 15) == 15:
            for k in range(LANES):
                value[k] += math.log(head[5, k])
                head[5, k] = 1.0
    for k in range(LANES):
        value[k] = -0.5 * (head[4, k] + value[k] + math.log(head[5, k]))


@njit(cache=True, nogil=True)
def _place(curve: Curve, candidates: Floats, spare: float, w: Floats, room: Room) -> None:
    """Put the candidates (LANES, 4) where the sweeps look for them; spare is e^2 of u_2 = ln(jitter^2 + e^2)."""
    bands = curve[5]
    n_bands = len(bands)
    least = -0.9 * spare  # a pattern may reach below no jitter; noise variances stay positive
    for k in range(LANES):
        rate, variance = _SQRT3 * math.exp(-candidates[k, 0]), math.exp(2.0 * candidates[k, 1])
        jitter = max(math.exp(candidates[k, 2]) - spare, least)
        per_wavelength = _SQRT3 * math.exp(-candidates[k, 3])
        if n_bands <= 2:
            y = per_wavelength * abs(bands[n_bands - 1] - bands[0])
            w[18 * LANES + k], w[19 * LANES + k] = variance, variance * (1.0 + y) * math.exp(-y)
            w[20 * LANES + k], w[21 * LANES + k] = jitter, rate
            continue
        room[0][6, k], room[0][7, k] = jitter, rate
        for a in range(n_bands):
            for b in range(n_bands):
                y = per_wavelength * abs(bands[a] - bands[b])
                room[1][a, b, k] = variance * (1.0 + y) * math.exp(-y)


@njit(cache=True, nogil=True)
def _log_prior(candidate: Floats) -> float:
    """Log-normal priors on l and on the wavelength scale as densities of their logarithms, without constants."""
    z = (candidate[0] - math.log(TIMESCALE_PRIOR_MEDIAN)) / TIMESCALE_PRIOR_SIGMA
    y = (candidate[3] - math.log(WAVELENGTH_SCALE)) / WAVELENGTH_SCALE_PRIOR_SIGMA
    return float(-0.5 * (z * z + y * y))


def log_priors(candidates: Floats) -> Floats:
    """Log prior of candidates (C, 4): (C,). The plain form of `_log_prior`."""
    z = (candidates[:, 0] - math.log(TIMESCALE_PRIOR_MEDIAN)) / TIMESCALE_PRIOR_SIGMA
    y = (candidates[:, 3] - math.log(WAVELENGTH_SCALE)) / WAVELENGTH_SCALE_PRIOR_SIGMA
    prior: Floats = -0.5 * (z * z + y * y)
    return prior


@njit(cache=True, nogil=True)
def _evaluate(curve: Curve, candidates: Floats, spare: float, constant: float, w: Floats, room: Room, value: Floats) -> None:
    """Log evidence plus log prior of LANES candidates (LANES, 4), into value; -inf where it is no number."""
    _place(curve, candidates, spare, w, room)
    if len(curve[5]) <= 2:
        _sweep_two_bands(curve, w, value)
    else:
        _sweep_bands(curve, room, value)
    for k in range(LANES):
        total = value[k] + constant + _log_prior(candidates[k])
        value[k] = total if math.isfinite(total) else -math.inf


@njit(cache=True, nogil=True)
def prepare_objects(offsets: Rows, flux: Floats, noise: Floats, unit: Floats, constants: Floats, spare: Floats, power: Floats) -> None:
    """What no candidate changes: unit (N,) 1 / (1 + noise); of each object (B,) the log evidence without the sweep, `spare`, and mean flux^2.

    flux and noise variance (N,) in units of the flux scale and its square.
    """
    for k in range(len(constants)):
        total, squares, least = 0.0, 0.0, math.inf
        for i in range(offsets[k], offsets[k + 1]):
            unit[i] = 1.0 / (1.0 + noise[i])
            total -= math.log1p(noise[i]) + _LOG_2PI
            squares += flux[i] * flux[i]
            least = min(least, noise[i])
        constants[k], spare[k], power[k] = 0.5 * total, 0.5 * least, squares / max(offsets[k + 1] - offsets[k], 1)


@njit(cache=True, nogil=True)
def evidence_objects(
    offsets: Rows,
    mjd: Floats,
    flux: Floats,
    noise: Floats,
    unit: Floats,
    bands: tuple[Rows, Floats, Rows],
    constants: Floats,
    spare: Floats,
    owner: Rows,
    candidates: Floats,
    value: Floats,
) -> None:
    """Log evidence plus log prior of the candidates (C, P, 4) of object owner[c] each, into value (C, P); P is a multiple of LANES.

    flux, noise, unit (N,), constants, spare (B,) as in `prepare_objects`
    bands : rows (N,), wavelengths (B, 6), n_bands (B,) of `gaussian_process_bounds.band_objects`
    """
    rows, present, n_bands = bands
    m = present.shape[1]
    w, head, stationary = np.empty(22 * LANES), np.empty((8, LANES)), np.empty((m, m, LANES))
    room = head, stationary, np.empty((m, 2, LANES)), np.empty((m, 2, LANES)), np.empty((m * (m + 1) // 2, 4, LANES))
    for c in range(len(owner)):
        k = owner[c]
        own = slice(offsets[k], offsets[k + 1])
        curve = (mjd[own], rows[own], flux[own], noise[own], unit[own], present[k, : n_bands[k]])
        for p in range(0, candidates.shape[1], LANES):
            _evaluate(curve, candidates[c, p : p + LANES], spare[k], constants[k], w, room, value[c, p : p + LANES])
