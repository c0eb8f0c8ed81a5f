"""What explains an odd star first, by the test that finds it odd: in words, and as what the night already knows, its period and its class."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

from deeprubin_spark.schemas.technosignatures import TESTS

LEAST_PROBABILITY = 0.5  # [1] of a class that explains a star
_AGAIN_AND_AGAIN = ("EB", "RRL", "Mira", "M-dwarf", "AGN")  # classes whose events come at all times

EXPLAINING: dict[str, tuple[str, ...]] = {
    "ellipsoid": _AGAIN_AND_AGAIN,
    "transit_zone": _AGAIN_AND_AGAIN,
    "dip": ("EB", "Mira", "AGN"),
    "achromatic": ("EB",),
    "levels": ("EB", "RRL", "Mira"),
    "intervals": _AGAIN_AND_AGAIN,
    "vanish": ("EB", "Mira"),
}
BY_PERIOD = tuple(test for test in TESTS if test != "vanish")  # a periodic star's events, dips and levels are its own

NATURAL: dict[str, str] = {
    "ellipsoid": "a flare, outburst or eclipse that happens then by chance",
    "transit_zone": "a flare, outburst or eclipse that happens then by chance; stars are observed most near opposition",
    "dip": "dust: a young star's disc or an R CrB star; a cataclysmic variable's low state; a long eclipse",
    "achromatic": "an eclipse by a star of the same colour; an error of the reference image that both bands share",
    "levels": "total eclipses, or the two states of a cataclysmic variable; faint changes between two levels are not detected",
    "intervals": "outbursts, flares or eclipses of the star's own period, seen with the survey's cadence",
    "vanish": "a saturated, blended or moving star in the reference image, an asteroid in it; an R CrB star's decline, a long eclipse",
}
REFUTING: dict[str, str] = {
    "ellipsoid": "the same at other times; a better distance that moves the crossing; a spectrum of an active star",
    "transit_zone": "the same far from opposition; a spectrum of an active star",
    "dip": "more light missing in g than in r, infrared excess, a period, or emission lines",
    "achromatic": "a period; other depths in other bands; a second star's lines in the spectrum",
    "levels": "brightness between the levels in deeper images; a period",
    "intervals": "the next event at another time than the series says",
    "vanish": "the star in a deeper or sharper image; its motion; a reference image without it",
}


def of_status() -> tuple[Column, Column, Column, Column]:
    """Status, reason, natural_explanation and would_refute of rows with best_test, gates, period, class, p_class, s_phys and best_model."""
    test = F.col("best_test")
    by_period = test.isin(*BY_PERIOD) & F.col("period").isNotNull()
    explaining = F.array_contains(_of_test(test, {name: list(classes) for name, classes in EXPLAINING.items()}), F.col("class"))
    by_class = F.coalesce(explaining & (F.col("p_class") >= LEAST_PROBABILITY), F.lit(False))
    reasons = F.concat_ws(",", F.when(by_period, F.lit("period")), F.when(by_class, F.lit("known_class")))
    is_gated = F.col("gates") != ""
    reason = F.when(is_gated, F.col("gates")).when(reasons != "", reasons)
    status = F.when(is_gated, "gated").when(reasons != "", "set_aside").otherwise("candidate")
    period = F.format_string("a period of %.6g d: an eclipsing binary, or a pulsating or rotating star", "period")
    known = F.format_string("its class, %s with a probability of %.2f", "class", F.col("p_class").cast("double"))
    natural = _of_test(test, NATURAL)
    model = F.format_string("a free curve is no better than the model %s", "best_model")
    by_model = F.coalesce(F.col("s_phys") < 0.0, F.lit(False))
    told = (F.when(by_period, period), F.when(by_class, known), F.when(by_model, model))
    explanation = F.concat_ws("; ", *told, F.concat(F.lit("not excluded: "), natural))
    return status, reason, explanation, _of_test(test, REFUTING)


def _of_test(test: Column, values: Mapping[str, str | list[str]]) -> Column:
    """The value of a row's test."""
    pairs = ((F.lit(name), F.array(*map(F.lit, value)) if isinstance(value, list) else F.lit(value)) for name, value in values.items())
    return F.create_map(*(part for pair in pairs for part in pair))[test]
