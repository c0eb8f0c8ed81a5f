"""One colour and one marker for each band, on every page, plot and notebook.

The colours differ in lightness and hue also to a colour-blind eye (after Okabe & Ito 2008) and stand on white and on black; the marker says
the same again where there is no colour at all.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from deeprubin_spark.bands import BAND_NAMES

Marker = Literal["circle", "square", "diamond", "triangle", "cross", "plus"]


class BandStyle(NamedTuple):
    """How a band is drawn: `colour` as #rrggbb, and `marker`."""

    colour: str
    marker: Marker


BAND_STYLES: dict[str, BandStyle] = {
    "u": BandStyle("#c05a9a", "triangle"),
    "g": BandStyle("#0a9671", "circle"),
    "r": BandStyle("#d9601a", "square"),
    "i": BandStyle("#3f83d8", "diamond"),
    "z": BandStyle("#a8841c", "cross"),
    "y": BandStyle("#7d7d86", "plus"),
}
# Drawing order, blue to red: the order of the wavelengths.
STYLED_BANDS: tuple[str, ...] = tuple(name for name in BAND_NAMES if name in BAND_STYLES)
