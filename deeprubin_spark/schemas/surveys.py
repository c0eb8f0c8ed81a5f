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
    Survey("plasticc_ztf", True, "PLAsTiCC made ZTF-like: g and r, ZTF's depth, whole and in parts"),
    Survey("spcc", True, "SN Photometric Classification Challenge: supernovae as DES would see them, griz"),
    Survey("external_lsst", False, "A table of labelled light curves that somebody brought to be evaluated, six bands or some of them"),
    Survey("external_ztf", False, "The same, g and r"),
    Survey("elasticc", True, "ELAsTiCC: alerts as Rubin would send them, six bands"),
)
SURVEY_NAMES: tuple[str, ...] = tuple(survey.name for survey in SURVEYS)


def is_simulated(survey: str) -> bool:
    """Whether the survey's light curves are simulated; one we do not know is taken for real."""
    return any(known.is_simulated for known in SURVEYS if known.name == survey)
