"""The light-curve features: name, unit, meaning, formula, source and group of each, in the order in which `extract` makes them.

A feature set is a name and a tuple of bands; another survey's bands are another tuple. The page docs/features.md and the columns of the
`features` table come from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BAND_NAMES, band_index
from deeprubin_spark.kernels import catalogue_points, catalogue_posterior
from deeprubin_spark.kernels.catalogue_entry import THIS_PROJECT, Feature, Group, neighbours
from deeprubin_spark.kernels.host_features import host_entries
from deeprubin_spark.kernels.parametric_catalogue import parametric_features
from deeprubin_spark.kernels.period_search import PERIOD_FEATURES

__all__ = [
    "FEATURES",
    "FEATURE_BANDS",
    "FEATURE_NAMES",
    "FEATURE_SETS",
    "GROUP_DOCS",
    "LSST_UGRIZY",
    "MODEL_BIC",
    "ZTF_GR",
    "Feature",
    "FeatureSet",
    "Group",
]

GROUP_DOCS: dict[Group, str] = {
    "gp": "Fit of the Gaussian process to the latest 256 points, all bands",
    "gp_peak": "Peaks of its posterior mean, taken between 64 grid times as a cubic with the values and slopes there",
    "gp_shape": "Shape of each band's peak, from the same cubics",
    "gp_colour": "Colours of neighbouring bands at times from the peak of the bands' sum, from the same cubics",
    "gp_last": "Posterior at the newest point's own time",
    "counts": "Numbers and significance of all points",
    "variability": "Statistics of all points of a band",
    "random_walk": "Stochastic processes fitted to a band",
    "scales": "Variability of a band by scale in time",
    "pairs": "Two neighbouring bands together",
    "limits": "Upper limits about the detections",
    "context": "Where the object is",
    "parametric": "Parametric models of the latest 256 points, and how they compare with the Gaussian process",
    "period": "Search for a period, in the points known on the last night on which their number reached 20 x 1.25^k",
    "host": "With the redshift of the host galaxy and the Galaxy's dust, where a survey tells them",
}

MODEL_BIC = "delta_bic_"  # before a model's name: the feature that compares it with the Gaussian process
_BIC_GP = "BIC_GP = -2 L + 3 ln n over the same n points, those in the set's bands"


def parametric_entries(bands: tuple[str, ...]) -> list[Feature]:
    """Group `parametric`, in the order of `parametric.fit_parametric`: each model's BIC as its distance from the Gaussian process's."""
    made = []
    for name, unit, doc, formula, source in parametric_features(bands):
        if name.startswith("bic_"):
            name, doc = f"delta_{name}", f"{doc}, less that of the Gaussian process: negative where the model is preferred"
            doc, formula = doc.replace(", flux in nJy", ""), f"{formula} - BIC_GP, {_BIC_GP}"
        made.append(Feature(name, unit, doc, formula, source, "parametric", "nJy" not in unit))
    return made


def period_entries() -> list[Feature]:
    """Group `period`, in the order of `due_periods.fill_period_features`. Amplitudes are those in g and r whatever the set's bands."""
    doc, formula = (
        "Points known on the night that the period was searched for, at least 20",
        "number of points with known_night <= due night",
    )
    known = Feature("period_n_known", "1", doc, formula, THIS_PROJECT, "period", True)
    return [known, *(Feature(f.name, f.unit, f.doc, f.formula, f.source, "period", f.scale_free) for f in PERIOD_FEATURES)]


@dataclass(frozen=True)
class FeatureSet:
    """A named set of features of light curves in `bands`, which are names of `bands.BANDS` in order of wavelength; `with_host`: also group `host`."""

    name: str
    bands: tuple[str, ...]
    with_host: bool = False

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """All features, group after group; each group in the order of the kernel that makes it."""
        pairs = neighbours(self.bands)
        return (
            *catalogue_posterior.process(),
            *catalogue_posterior.peak(self.bands),
            *(feature for b in self.bands for feature in catalogue_posterior.shape(b)),
            *(feature for b, c in pairs for feature in catalogue_posterior.colour(b, c)),
            *(feature for b in self.bands for feature in catalogue_posterior.newest(b)),
            *catalogue_points.counts(self.bands),
            *(feature for b in self.bands for feature in catalogue_points.variability(b)),
            *(feature for b in self.bands for feature in catalogue_points.random_walk(b)),
            *(feature for b in self.bands for feature in catalogue_points.scales(b)),
            *(feature for b, c in pairs for feature in catalogue_points.pair(b, c)),
            *(feature for b in self.bands for feature in catalogue_points.limits(b)),
            *catalogue_points.context(),
            *parametric_entries(self.bands),
            *period_entries(),
            *(host_entries(self.bands) if self.with_host else ()),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all features."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def band_indices(self) -> NDArray[np.int8]:
        """(W,) int8, the bands' places in `bands.BANDS`."""
        return np.array([band_index(name) for name in self.bands], np.int8)

    def of_group(self, group: Group) -> tuple[Feature, ...]:
        """The features of a group."""
        return tuple(feature for feature in self.features if feature.group == group)

    def first_column(self, group: Group) -> int:
        """Column of the group's first feature in `Extracted.values`; its others follow."""
        return [feature.group for feature in self.features].index(group)


ZTF_GR = FeatureSet("ztf_gr_2", ("g", "r"))  # another name whenever a feature's meaning changes
LSST_UGRIZY = FeatureSet("lsst_ugrizy_1", BAND_NAMES, with_host=True)
FEATURE_SETS: Mapping[str, FeatureSet] = {made.name: made for made in (ZTF_GR, LSST_UGRIZY)}
FEATURE_BANDS: tuple[str, ...] = ZTF_GR.bands
FEATURES: tuple[Feature, ...] = ZTF_GR.features
FEATURE_NAMES: tuple[str, ...] = ZTF_GR.names
