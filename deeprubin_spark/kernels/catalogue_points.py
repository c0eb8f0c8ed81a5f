"""The features that come from the points themselves: counts, variability, pairs of bands, upper limits, and where the object is.

Symbols: F_i flux, e_i error, t_i time, n points, m mean flux, s^2 = sum (F_i - m)^2 / (n - 1), M mean weighted by 1 / e_i^2,
z_i = (F_i - M) / e_i, med the median, Q_p the p % quantile by Hazen's rule; all of one band where the feature's name has one.
"""

from __future__ import annotations

from deeprubin_spark.kernels.catalogue_entry import THIS_PROJECT, Feature, Group

LIGHT_CURVE = "Malanchev et al. 2021"
FATS = "Nun et al. 2015"
ALERCE = "Sanchez-Saez et al. 2021"

Row = tuple[str, str, str, str, str]  # statistic, unit, doc, formula, source


def counts(bands: tuple[str, ...]) -> list[Feature]:
    """Group `counts`: n of each band, then `point_counts.POINT_STATISTICS`."""
    made = [Feature(f"n_{b}", "1", f"Points in {b}", "n", THIS_PROJECT, "counts", True) for b in bands]
    rows = (
        ("duration", "d", "Time from the first to the last point", "t_n - t_1", LIGHT_CURVE),
        ("positive_fraction", "1", "Share of points brighter than the reference", "share of F_i > 0", ALERCE),
        ("significant_fraction", "1", "Share of points with |flux| over 5 errors", "share of |F_i| / e_i > 5", "Boone 2019"),
        ("faded_fraction", "1", "Share of points fainter than the reference by over 5 errors", "share of F_i / e_i < -5", "Boone 2019"),
        ("insignificant_fraction", "1", "Share of points with |flux| under 3 errors", "share of |F_i| / e_i < 3", "Boone 2019"),
        ("max_snr", "1", "Highest flux over its error", "max F_i / e_i", THIS_PROJECT),
        ("median_abs_snr", "1", "Median of |flux| over its error", "median |F_i| / e_i", THIS_PROJECT),
    )
    return made + [Feature(*row, "counts", True) for row in rows]


def variability(b: str) -> list[Feature]:
    """Group `variability` of one band, in the order of `variability.BAND_STATISTICS`."""
    return _in_band((*_distribution(), *_changes()), b, "variability")


def _distribution() -> tuple[Row, ...]:
    """Of the fluxes, in whatever order they stand."""
    return (
        ("mean_flux", "nJy", "Mean flux", "m", LIGHT_CURVE),
        ("amplitude", "nJy", "Half the range of the flux", "(max F - min F) / 2", LIGHT_CURVE),
        ("standard_deviation", "nJy", "Standard deviation of the flux", "s", LIGHT_CURVE),
        ("median_absolute_deviation", "nJy", "Median distance of the flux from its median", "median |F_i - med|", LIGHT_CURVE),
        ("interpercentile_range", "nJy", "Flux range from 10 % to 90 %", "Q_90 - Q_10", LIGHT_CURVE),
        ("percentile_ratio", "1", "Flux range from 40 % to 60 % over that from 5 % to 95 %", "(Q_60 - Q_40) / (Q_95 - Q_5)", LIGHT_CURVE),
        (
            "median_buffer",
            "1",
            "Share of points within a tenth of the amplitude of the median",
            "share of |F_i - med| < amplitude / 10",
            FATS,
        ),
        ("skew", "1", "Skewness of the flux, unbiased", "n / ((n - 1)(n - 2)) sum (F_i - m)^3 / s^3", LIGHT_CURVE),
        (
            "kurtosis",
            "1",
            "Excess kurtosis of the flux, unbiased",
            "n (n + 1) / ((n - 1)(n - 2)(n - 3)) sum (F_i - m)^4 / s^4 - 3 (n - 1)^2 / ((n - 2)(n - 3))",
            LIGHT_CURVE,
        ),
        (
            "anderson_darling",
            "1",
            "Anderson and Darling's distance from a Gaussian of the flux's own mean and deviation",
            "(1 + 4/n - 25/n^2) (-n - sum ((2 i - 1) ln Phi(x_i) + (2 (n - i) + 1) ln(1 - Phi(x_i))) / n), x = (F - m) / s sorted",
            "Anderson & Darling 1952; Malanchev et al. 2021",
        ),
        (
            "cusum",
            "1",
            "Range of the running sum of deviations from the mean",
            "range of sum_{j <= i} (F_j - m) / (n s)",
            "Kim et al. 2014",
        ),
    )


def _changes() -> tuple[Row, ...]:
    """Of the fluxes against their errors and times."""
    return (
        ("beyond_1sd", "1", "Share of points further than a standard deviation from the mean", "share of |F_i - m| > s", FATS),
        (
            "von_neumann_eta",
            "1",
            "Mean squared step over the variance: 2 for noise, 0 if smooth",
            "sum (F_i+1 - F_i)^2 / ((n - 1) s^2)",
            "von Neumann 1941; Kim et al. 2014",
        ),
        (
            "eta_e",
            "1",
            "The same of the steps over their times, equal times left out",
            "(t_n - t_1)^2 / (n - 1)^3 sum ((F_i+1 - F_i) / (t_i+1 - t_i))^2 / s^2",
            "Kim et al. 2014; Malanchev et al. 2021",
        ),
        ("stetson_k", "1", "Stetson's K of the residuals: 0.798 for a Gaussian", "sum |z_i| / sqrt(n sum z_i^2)", "Stetson 1996"),
        ("maximum_slope", "nJy d-1", "Steepest change between neighbouring points", "max |F_i+1 - F_i| / (t_i+1 - t_i)", FATS),
        (
            "linear_trend",
            "nJy d-1",
            "Slope of a straight line fitted without weights",
            "sum (t_i - mean t) F_i / sum (t_i - mean t)^2",
            LIGHT_CURVE,
        ),
        (
            "linear_trend_snr",
            "1",
            "That slope over its standard error from the scatter about the line",
            "slope / standard error",
            LIGHT_CURVE,
        ),
        ("reduced_chi2", "1", "Chi-squared of a constant flux per degree of freedom", "sum z_i^2 / (n - 1)", LIGHT_CURVE),
        (
            "excess_variance",
            "1",
            "Variance beyond the errors over the squared mean flux",
            "(s^2 - mean e_i^2) / m^2",
            "Nandra et al. 1997; Malanchev et al. 2021",
        ),
    )


def random_walk(b: str) -> list[Feature]:
    """Group `random_walk` of one band, in the order of `damped_random_walk.WALK_STATISTICS`."""
    rows = (
        (
            "drw_sigma",
            "nJy",
            "Standard deviation of a damped random walk, latest 256 points",
            "sigma of sigma^2 e^(-|dt| / tau)",
            "Kelly et al. 2009",
        ),
        ("drw_tau", "d", "Timescale of that damped random walk", "tau of sigma^2 e^(-|dt| / tau)", "Kelly et al. 2009"),
        (
            "iar_phi",
            "1",
            "Coefficient over a day of an irregular autoregressive process with the sample's own deviation",
            "phi of s^2 phi^(|dt| / d)",
            "Eyheramendy et al. 2018",
        ),
    )
    return _in_band(rows, b, "random_walk")


def scales(b: str) -> list[Feature]:
    """Group `scales` of one band, in the order of `structure_function.SCALE_STATISTICS`."""
    hat = "(mean (S_a - S_b)^2 - noise) / s^2, S_w means weighted by Gaussians of deviation w, a = T / sqrt 2, b = T sqrt 2, T = {} d"
    rows = (
        (
            "sf_amplitude",
            "nJy",
            "Structure function at a lag of 30 d, from a power law through half-decade bins, latest 256 points",
            "A of sqrt(mean (dF^2 - e_i^2 - e_j^2)) = A (lag / 30 d)^gamma",
            "Schmidt et al. 2010; Kozlowski 2016",
        ),
        ("sf_slope", "1", "Exponent of that power law", "gamma of A (lag / 30 d)^gamma", "Schmidt et al. 2010; Kozlowski 2016"),
        (
            "mhps_short",
            "1",
            "Share of the variance on a scale of 10 d, by Mexican hats, less the noise",
            hat.format(10),
            "Arevalo et al. 2012",
        ),
        (
            "mhps_long",
            "1",
            "Share of the variance on a scale of 80 d, by Mexican hats, less the noise",
            hat.format(80),
            "Arevalo et al. 2012",
        ),
        ("mhps_ratio", "1", "Long over short; NULL unless both are positive", "mhps_long / mhps_short", "Arevalo et al. 2012; " + ALERCE),
    )
    return _in_band(rows, b, "scales")


def pair(b: str, c: str) -> list[Feature]:
    """Group `pairs` of two bands, in the order of `band_pairs.PAIR_STATISTICS`."""
    of = f"over pairs of a {b} and a {c} point within 0.5 d, each in one pair"
    both = f"points of positive flux in {b} and {c}"
    rows = (
        (
            f"stetson_j_{b}{c}",
            "Stetson's J " + of,
            "mean of sgn(P) sqrt |P|, P = z_i z_j sqrt(n_b n_c / ((n_b - 1)(n_c - 1)))",
            "1",
            "Stetson 1996",
        ),
        (f"stetson_i_{b}{c}", "Welch and Stetson's I " + of, "sum z_i z_j / sqrt(p (p - 1)), p pairs", "1", "Welch & Stetson 1993"),
        (
            f"mean_colour_{b}{c}",
            f"Mean magnitude in {b} minus that in {c}, of {both}",
            f"mean -2.5 log10 F_{b} - mean -2.5 log10 F_{c}",
            "mag",
            ALERCE,
        ),
        (
            f"peak_colour_{b}{c}",
            f"Brightest magnitude in {b} minus that in {c}, of {both}",
            f"-2.5 log10(max F_{b} / max F_{c})",
            "mag",
            ALERCE,
        ),
    )
    return [Feature(name, unit, doc, formula, source, "pairs", True) for name, doc, formula, unit, source in rows]


def limits(b: str) -> list[Feature]:
    """Group `limits` of one band, in the order of `upper_limits.LIMIT_STATISTICS`."""
    rows = (
        ("n_limits_before", "1", "Upper limits before the first detection in any band", "number of limits with t < t_1", ALERCE),
        ("n_limits_after", "1", "Upper limits after the last detection in any band", "number of limits with t > t_n", ALERCE),
        ("deepest_limit_before", "nJy", "Deepest limit before the first detection", "min limit, t < t_1", ALERCE),
        ("last_limit_before", "nJy", "Latest limit before the first detection", "limit at the latest t < t_1", ALERCE),
        ("limit_gap", "d", "Time from that limit to the first detection", "t_1 - t of the latest limit before", ALERCE),
        ("deepest_limit", "nJy", "Deepest limit at any time", "min limit", THIS_PROJECT),
        ("rise_over_limit", "1", "First detected flux in the band over the latest limit before the first detection", "F_1 / limit", ALERCE),
    )
    return _in_band(rows, b, "limits")


def context() -> list[Feature]:
    """Group `context`: where the object is, and what lies nearest to it."""
    galactic, ecliptic = "asin |sin d sin d_P + cos d cos d_P cos(a - a_P)|", "asin |sin d cos eps - cos d sin eps sin a|"
    rows = (
        ("abs_galactic_latitude", "deg", "Distance from the Galaxy's plane on the sky", galactic, "ESA 1997"),
        ("abs_ecliptic_latitude", "deg", "Distance from the ecliptic on the sky", ecliptic, "Lieske et al. 1977"),
        (
            "star_score",
            "1",
            "Star (1) or galaxy (0) score of the nearest PS1 source, of the latest alert",
            "sgscore1",
            "Tachibana & Miller 2018",
        ),
        ("star_distance", "arcsec", "Distance to that source", "distpsnr1", "Masci et al. 2019"),
    )
    return [Feature(*row, "context", True) for row in rows]


def _in_band(rows: tuple[Row, ...], b: str, group: Group) -> list[Feature]:
    """Rows of (statistic, unit, doc, formula, source) as features of band b."""
    return [
        Feature(f"{name}_{b}", unit, f"{doc}, {b}", formula, source, group, "nJy" not in unit) for name, unit, doc, formula, source in rows
    ]
