"""The features that come from the Gaussian process: its fit, and its posterior's peaks, shapes, colours and newest value.

Symbols: A amplitude, l timescale, j jitter, L log evidence, n points, e_i error, F(t) posterior mean and s(t) its standard deviation, F_pk and t_pk
the highest F between the first and the last point and its time; a quantity of the sum of the bands has no band's name.
"""

from __future__ import annotations

from deeprubin_spark.kernels.catalogue_entry import THIS_PROJECT, Feature, neighbours
from deeprubin_spark.kernels.posterior_shape import COLOUR_PHASES, DECLINE_TIME, LEVELS, PEAK_DIP, SLOPE_PHASE

BOONE = "Boone 2019"
_CLEAR = "; NULL unless the peak exceeds its standard deviation"


def phase_label(phase: float) -> str:
    """'m10' for -10 d from the peak, 'p10' for +10 d."""
    return f"{'m' if phase < 0 else 'p'}{abs(phase):.0f}"


def process() -> list[Feature]:
    """Group `gp`, in the order of `process_features.PROCESS_STATISTICS`."""
    nll, chi2 = "-(L + sum ln e_i) / n", "mean of ((F_i - F(t_i)) / e_i)^2"
    return [
        Feature("gp_timescale", "d", "Timescale of the Gaussian process", "l", BOONE, "gp", True),
        Feature("gp_amplitude", "nJy", "Amplitude of the Gaussian process", "A", BOONE, "gp", False),
        Feature("gp_amplitude_snr", "1", "Amplitude of the process over the median flux error", "A / median e_i", THIS_PROJECT, "gp", True),
        Feature(
            "gp_jitter_share", "1", "Share of the variance that is faster than the process", "j^2 / (A^2 + j^2)", THIS_PROJECT, "gp", True
        ),
        Feature("gp_nll_per_obs", "1", "Negative log evidence per point, of the flux in units of its error", nll, THIS_PROJECT, "gp", True),
        Feature(
            "gp_chi2_per_obs", "1", "Mean squared residual of the points from the posterior mean, in errors", chi2, THIS_PROJECT, "gp", True
        ),
    ]


def peak(bands: tuple[str, ...]) -> list[Feature]:
    """Group `gp_peak`."""
    made = []
    for b in bands:
        doc = f"Highest posterior mean in {b} between the first and the last point"
        made.append(Feature(f"peak_flux_{b}", "nJy", doc, "F_pk", BOONE, "gp_peak", False))
        made.append(
            Feature(f"peak_snr_{b}", "1", f"That flux over its posterior standard deviation, {b}", "F_pk / s(t_pk)", BOONE, "gp_peak", True)
        )
    for b, c in neighbours(bands):
        lag, ratio = f"t_pk,{b} - t_pk,{c}", f"F_pk,{b} / (F_pk,{b} + F_pk,{c})"
        made.append(Feature(f"peak_lag_{b}{c}", "d", f"Time of the peak in {b} minus that in {c}", lag, BOONE, "gp_peak", True))
        doc = f"Share of {b} in the peaks' flux of {b} and {c}; NULL unless both exceed their standard deviation"
        made.append(Feature(f"peak_ratio_{b}{c}", "1", doc, ratio, BOONE, "gp_peak", True))
    doc = f"Time of the last point minus that of the peak of the {' + '.join(bands)} posterior mean"
    return [*made, Feature("peak_age", "d", doc, "t_n - t_pk", THIS_PROJECT, "gp_peak", True)]


def shape(b: str) -> list[Feature]:
    """Group `gp_shape` of one band, in the order of `posterior_shape.SHAPES`."""
    made = []
    for side, words, formula in (
        ("rise", "from {} of the peak's flux to the peak", "t_pk - t"),
        ("fall", "from the peak to {} of its flux", "t - t_pk"),
    ):
        for level in LEVELS:
            share = words.format(f"{level * 100:.0f} %")
            doc = f"Time {share} in {b}, where crossed between the first and the last point{_CLEAR}"
            crossing = f"{formula}, t nearest with F(t) = {level} F_pk"
            made.append(Feature(f"{side}_{level * 100:.0f}_{b}", "d", doc, crossing, BOONE, "gp_shape", True))
    tops = f"maxima parted by dips deeper than {PEAK_DIP} F_pk"
    width, dm15 = "integral of max(F, 0) dt / F_pk", f"2.5 log10(F_pk / F(t_pk + {DECLINE_TIME:.0f} d))"
    return [
        *made,
        Feature(
            f"width_{b}",
            "d",
            f"Integral of the positive posterior mean over the peak's flux in {b}{_CLEAR}",
            width,
            BOONE,
            "gp_shape",
            True,
        ),
        Feature(f"trough_{b}", "1", f"Lowest posterior mean over the peak's flux in {b}{_CLEAR}", "min F / F_pk", BOONE, "gp_shape", True),
        Feature(f"n_peaks_{b}", "1", f"Maxima in {b}, with dips between them{_CLEAR}", f"number of {tops}", THIS_PROJECT, "gp_shape", True),
        Feature(
            f"second_peak_fraction_{b}",
            "1",
            f"Flux of the second-highest of these maxima over that of the peak in {b}, 0 if there is one{_CLEAR}",
            f"F_2 / F_pk, of {tops}",
            BOONE,
            "gp_shape",
            True,
        ),
        Feature(
            f"dm15_{b}",
            "mag",
            f"Decline in 15 d from the peak in {b}, if followed so long{_CLEAR}",
            dm15,
            "Phillips 1993",
            "gp_shape",
            True,
        ),
    ]


def colour(b: str, c: str) -> list[Feature]:
    """Group `gp_colour` of two bands."""
    formula = f"(F_{b} - F_{c}) / (|F_{b}| + |F_{c}| + sqrt(s_{b}^2 + s_{c}^2)) at t_pk {{:+.0f}} d"
    made = [
        Feature(
            f"colour_{b}{c}_{phase_label(phase)}",
            "1",
            f"Colour {b} - {c} between -1 and 1, {phase:+.0f} d from the peak, within 10 d of the points; sd of the bands as if independent",
            formula.format(phase),
            THIS_PROJECT,
            "gp_colour",
            True,
        )
        for phase in COLOUR_PHASES
    ]
    change = f"(colour at {SLOPE_PHASE:+.0f} d - colour at the peak) / {SLOPE_PHASE:.0f} d"
    doc = f"Change of that colour per day over the {SLOPE_PHASE:.0f} d after the peak"
    return [*made, Feature(f"colour_slope_{b}{c}", "d-1", doc, change, THIS_PROJECT, "gp_colour", True)]


def newest(b: str) -> list[Feature]:
    """Group `gp_last` of one band, in the order of `process_features.NEWEST_STATISTICS`."""
    return [
        Feature(f"last_flux_{b}", "nJy", f"Posterior mean in {b} at the newest point", "F(t_n)", THIS_PROJECT, "gp_last", False),
        Feature(
            f"last_slope_{b}", "nJy d-1", f"Its change with time in {b} at the newest point", "dF/dt(t_n)", THIS_PROJECT, "gp_last", False
        ),
        Feature(
            f"last_sd_{b}", "nJy", f"Posterior standard deviation in {b} at the newest point", "s(t_n)", THIS_PROJECT, "gp_last", False
        ),
        Feature(f"last_snr_{b}", "1", f"That mean over that deviation, {b}", "F(t_n) / s(t_n)", THIS_PROJECT, "gp_last", True),
    ]
