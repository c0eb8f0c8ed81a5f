"""The passbands: after ingestion a band is one of these letters, never a survey's own number."""

from __future__ import annotations

from typing import NamedTuple


class Band(NamedTuple):
    """A passband: `name`, effective `wavelength` [Angstrom]."""

    name: str
    wavelength: float


# LSST effective wavelengths (baseline throughputs v1.9). ZTF's g, r, i lie within 4 % of them, far below the 6000 Angstrom over which the
# Gaussian process correlates bands, so one table serves all surveys.
BANDS: tuple[Band, ...] = (
    Band("u", 3671.0),
    Band("g", 4827.0),
    Band("r", 6223.0),
    Band("i", 7546.0),
    Band("z", 8691.0),
    Band("y", 9712.0),
)
BAND_NAMES: tuple[str, ...] = tuple(band.name for band in BANDS)

# ZTF `fid` (ZTF Science Data System Explanatory Supplement, alert packet schema): 1 = g, 2 = r, 3 = i.
ZTF_FILTER_IDS: dict[int, str] = {1: "g", 2: "r", 3: "i"}


def band_index(name: str) -> int:
    """Position of a band in `BANDS`. ValueError for a letter that is no band."""
    if name not in BAND_NAMES:
        raise ValueError(f"band: expected one of {', '.join(BAND_NAMES)}, found {name!r}")
    return BAND_NAMES.index(name)
