"""The light-curve features: name, unit, meaning and group of each, in the order in which `light_curve_features.extract` makes them."""

from __future__ import annotations

from typing import Literal, NamedTuple

Group = Literal["gp", "gp_peak", "gp_shape", "gp_colour", "counts", "variability"]

FEATURE_BANDS: tuple[str, ...] = ("g", "r")
COLOUR_PHASES: tuple[float, ...] = (-10.0, 0.0, 10.0, 20.0, 30.0)  # [d] from the peak
SIGNIFICANT_SNR = 5.0
PEAK_DIP = 0.1  # of the peak's flux: a shallower dip between two maxima does not make them two


class Feature(NamedTuple):
    """One number about a light curve.

    `scale_free`: a factor on all fluxes and errors does not change it, so it says nothing of how bright the object is.
    """

    name: str
    unit: str
    doc: str
    group: Group
    scale_free: bool


def _phase_label(phase: float) -> str:
    return f"{'m' if phase < 0 else 'p'}{abs(phase):.0f}"


def _gp() -> list[Feature]:
    return [
        Feature("gp_timescale", "d", "Timescale of the Gaussian process", "gp", True),
        Feature("gp_amplitude", "nJy", "Amplitude of the Gaussian process", "gp", False),
        Feature("gp_amplitude_snr", "1", "Amplitude of the Gaussian process over the median flux error", "gp", True),
        Feature("gp_nll_per_obs", "1", "Negative log evidence per point, of the flux in units of its error", "gp", True),
        Feature("gp_chi2_per_obs", "1", "Mean squared residual from the posterior mean, in errors, of the points", "gp", True),
    ]


def _peak() -> list[Feature]:
    per_band = [
        feature
        for b in FEATURE_BANDS
        for feature in (
            Feature(f"peak_flux_{b}", "nJy", f"Highest posterior mean in {b} between the first and the last point", "gp_peak", False),
            Feature(f"peak_snr_{b}", "1", f"That flux over its posterior standard deviation, {b}", "gp_peak", True),
        )
    ]
    return [
        *per_band,
        Feature("peak_lag_gr", "d", "Time of the peak in g minus that in r", "gp_peak", True),
        Feature(
            "peak_ratio_gr",
            "1",
            "F_g / (F_g + F_r) at their peaks; NULL unless both exceed their standard deviation",
            "gp_peak",
            True,
        ),
        Feature("peak_age", "d", "Time of the last point minus that of the peak of the g + r posterior mean", "gp_peak", True),
    ]


def _shape(b: str) -> list[Feature]:
    only = "; NULL unless the peak exceeds its standard deviation"
    crossing = f" between the first and the last point{only}"
    return [
        Feature(f"rise_50_{b}", "d", f"Time from half the peak's flux to the peak in {b}, where crossed{crossing}", "gp_shape", True),
        Feature(f"rise_20_{b}", "d", f"Time from a fifth of the peak's flux to the peak in {b}, where crossed{crossing}", "gp_shape", True),
        Feature(f"fall_50_{b}", "d", f"Time from the peak to half its flux in {b}, where crossed{crossing}", "gp_shape", True),
        Feature(f"fall_20_{b}", "d", f"Time from the peak to a fifth of its flux in {b}, where crossed{crossing}", "gp_shape", True),
        Feature(f"width_{b}", "d", f"Integral of the positive posterior mean over the peak's flux in {b}{only}", "gp_shape", True),
        Feature(f"trough_{b}", "1", f"Lowest posterior mean over the peak's flux in {b}{only}", "gp_shape", True),
        Feature(f"n_peaks_{b}", "1", f"Maxima in {b}, dips of more than 10 % of the peak's flux between them{only}", "gp_shape", True),
    ]


def _colour() -> list[Feature]:
    return [
        Feature(
            f"colour_gr_{_phase_label(phase)}",
            "1",
            f"(F_g - F_r) / (|F_g| + |F_r| + sd) {phase:+.0f} d from the peak; sd of the difference's noise, bands as if independent",
            "gp_colour",
            True,
        )
        for phase in COLOUR_PHASES
    ]


def _counts() -> list[Feature]:
    return [
        *(Feature(f"n_{b}", "1", f"Points in {b}", "counts", True) for b in FEATURE_BANDS),
        Feature("duration", "d", "Time from the first to the last point", "counts", True),
        Feature("positive_fraction", "1", "Share of points brighter than the reference (flux > 0)", "counts", True),
        Feature("significant_fraction", "1", "Share of points with |flux| > 5 errors", "counts", True),
        Feature("max_snr", "1", "Highest flux over its error", "counts", True),
        Feature("median_abs_snr", "1", "Median of |flux| over its error", "counts", True),
    ]


def _variability(b: str) -> list[Feature]:
    return [
        Feature(f"amplitude_{b}", "nJy", f"Half the range of the flux in {b}", "variability", False),
        Feature(f"maximum_slope_{b}", "nJy d-1", f"Steepest change between neighbouring points in {b}", "variability", False),
        Feature(f"skew_{b}", "1", f"Skewness of the flux in {b}, unbiased", "variability", True),
        Feature(f"stetson_k_{b}", "1", f"Stetson's K (1996) of the residuals in {b}: 0.798 for a Gaussian", "variability", True),
        Feature(
            f"von_neumann_eta_{b}",
            "1",
            f"Mean squared step over the variance in {b}: 2 for noise, 0 if smooth",
            "variability",
            True,
        ),
        Feature(f"excess_variance_{b}", "1", f"(Variance - mean squared error) over the squared mean flux in {b}", "variability", True),
        Feature(f"reduced_chi2_{b}", "1", f"Chi-squared of a constant flux per degree of freedom in {b}", "variability", True),
        Feature(f"percentile_ratio_{b}", "1", f"Flux range from 40 % to 60 % over that from 5 % to 95 % in {b}", "variability", True),
    ]


FEATURES: tuple[Feature, ...] = (
    *_gp(),
    *_peak(),
    *(feature for b in FEATURE_BANDS for feature in _shape(b)),
    *_colour(),
    *_counts(),
    *(feature for b in FEATURE_BANDS for feature in _variability(b)),
)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
COLOUR_NAMES: tuple[str, ...] = tuple(feature.name for feature in _colour())
