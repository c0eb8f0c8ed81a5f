"""The surveys: what may stand in a column `survey`, which of them are simulated, and what each is."""

from __future__ import annotations

from typing import NamedTuple


class Survey(NamedTuple):
    """A source of light curves with its own objects, nights and ids."""

    name: str
    is_simulated: bool
    doc: str


# The real stream of a telescope never shares a name with a published set made of it: the archive's night replaces whole slices of its survey.
SURVEYS: tuple[Survey, ...] = (
    Survey("ztf", False, "ZTF's public alert archive"),
    Survey("ztf_alerce", False, "ZTF's objects as the broker ALeRCE shows them"),
    Survey("ztf_labelled", False, "Published ZTF light curves of objects of known type"),
    Survey("sdss_labelled", False, "Published SDSS light curves of objects of known type"),
    Survey("plasticc", True, "PLAsTiCC: LSST's six bands, 14 classes"),
    Survey("plasticc_parts", True, "PLAsTiCC's six bands, whole and in parts"),
    Survey("plasticc_ztf", True, "PLAsTiCC made ZTF-like: g and r, ZTF's depth, whole and in parts"),
    Survey("spcc", True, "SN Photometric Classification Challenge: supernovae as DES would see them, griz"),
    Survey("spcc_inductive", True, "Copies of SPCC's spectroscopic supernovae at other redshifts, visited as these were"),
    Survey("spcc_transductive", True, "The same copies, visited as SPCC's supernovae without a spectrum were"),
    Survey(
        "external_lsst",
        False,
        "A table of labelled light curves that somebody brought to be evaluated, real or not as they know; six bands or some",
    ),
    Survey("external_ztf", False, "The same, g and r"),
    Survey("elasticc", True, "ELAsTiCC: alerts as Rubin would send them, six bands"),
)
SURVEY_NAMES: tuple[str, ...] = tuple(survey.name for survey in SURVEYS)


class Copied(NamedTuple):
    """A survey of copies: of which survey's objects, those that `source` has labelled; whose nights they take; when they count as detected.

    cadences: 'labelled', of the same objects, so that no other light curve is touched, or 'unlabelled', of all others, whose labels nobody reads.
    least_bands: in how many bands a point is 5 sigma above zero.
    """

    of: str
    source: str
    cadences: str
    least_bands: int


# All but 31 of the 14,987 objects of SPCC that we have are above 5 sigma in two bands.
COPIED: dict[str, Copied] = {
    "spcc_inductive": Copied("spcc", "spcc_spectroscopic", "labelled", 2),
    "spcc_transductive": Copied("spcc", "spcc_spectroscopic", "unlabelled", 2),
}


def is_simulated(survey: str) -> bool:
    """Whether the survey's light curves are simulated; one we do not know is taken for real."""
    return any(known.is_simulated for known in SURVEYS if known.name == survey)
