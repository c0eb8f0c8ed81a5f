"""Which light curves a parametric model could matter to, from a few facts about the points: a fit of the others would be time lost.

A model of one event is worth fitting to points that show one: one band varies significantly, its brightest (or faintest) point stands out, and
flux passes the middle between brightest and faintest once up and once down. Pulsators, most quasars and noise are none of these. The models of a
new source (`spm`, `blackbody`) have no baseline: there the swing must be above the reference's flux more than below it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.parametric_points import (
    HIGH_FIRST,
    HIGH_LAST,
    N_HIGH,
    N_PEAKS,
    N_TROUGHS,
    PEAK_FLUX,
    PEAK_SNR,
    TROUGH_FLUX,
    TROUGH_SNR,
    Segments,
)

Mask = NDArray[np.bool_]

MODELS: tuple[str, ...] = ("bazin", "spm", "blackbody", "microlensing", "flare", "dip")
BAND_PARAMETERS = {"bazin": 5, "spm": 6}  # of the models that fit each band by itself
SPARE_POINTS = 2  # more than parameters
EVENT_SNR = 5.0  # of the extreme point above the mean of its band
VARIABLE_SIGMA = 5.0  # by which chi-squared of a constant exceeds its expectation
EVENT_POINTS = 3  # above the middle, for a shape with a rise and a fall of its own
FLARE_LONGEST = 3.0  # [d] that a flare's points may lie above the middle
DIP_SHARE = 0.5  # at most this share of the points is in the dip
BAND_POINTS = 3  # a band with fewer says nothing of a colour


def n_parameters(model: str, n_bands: NDArray[np.int64]) -> NDArray[np.int64]:
    """Parameters of a model that is fitted in so many bands at once: (B,)."""
    per_band, shared = {"bazin": (5, 0), "spm": (6, 0), "blackbody": (0, 7), "microlensing": (2, 3), "flare": (2, 2), "dip": (2, 3)}[model]
    return per_band * n_bands + shared


def fittable_bands(points: Segments, model: str) -> Mask:
    """(B, S): bands with enough points for a model that fits each by itself, that vary, or are the one with the most significant peak."""
    peak_snr = np.where(points.count > 0, points.facts[..., PEAK_SNR], -np.inf)
    is_brightest = peak_snr == peak_snr.max(axis=1, keepdims=True)
    fittable: Mask = (points.count >= BAND_PARAMETERS[model] + SPARE_POINTS) & (_is_variable(points) | is_brightest)
    return fittable


def _is_variable(points: Segments) -> Mask:
    """(B, S): chi-squared of a constant exceeds what noise would give."""
    spare = np.maximum(points.count - 1, 1)
    is_variable: Mask = points.constant_chi2 > spare + VARIABLE_SIGMA * np.sqrt(2.0 * spare)
    return is_variable


def has_enough_points(points: Segments) -> Mask:
    """(B, M): at least two points more than parameters, in one band for the models of a band; two bands with colours for the blackbody."""
    n_points, n_bands = points.count.sum(axis=1), (points.count > 0).sum(axis=1)
    enough = []
    for model in MODELS:
        if model in BAND_PARAMETERS:
            enough.append(fittable_bands(points, model).any(axis=1))
        else:
            enough.append((n_points >= n_parameters(model, n_bands) + SPARE_POINTS) & (n_points > 0))
    made = np.stack(enough, axis=1)
    made[:, MODELS.index("blackbody")] &= (points.count >= BAND_POINTS).sum(axis=1) > 1
    return made


def shows_event(points: Segments) -> Mask:
    """(B, M): what the module's first paragraphs say, for events up and, for the dip, down."""
    facts, count = points.facts, points.count
    is_variable = _is_variable(points)
    rises = is_variable & (facts[..., PEAK_SNR] >= EVENT_SNR) & (facts[..., N_PEAKS] == 1)
    falls = is_variable & (facts[..., TROUGH_SNR] <= -EVENT_SNR) & (facts[..., N_TROUGHS] == 1)
    is_long = rises & (facts[..., N_HIGH] >= EVENT_POINTS)
    is_short = rises & (facts[..., HIGH_LAST] - facts[..., HIGH_FIRST] <= FLARE_LONGEST)
    is_dip = falls & (count - facts[..., N_HIGH] <= DIP_SHARE * count)
    is_new = is_long & (facts[..., PEAK_FLUX] > -facts[..., TROUGH_FLUX])
    by_model = {"spm": is_new, "blackbody": is_new, "flare": is_short, "dip": is_dip}
    return np.stack([by_model.get(model, is_long).any(axis=1) for model in MODELS], axis=1)
