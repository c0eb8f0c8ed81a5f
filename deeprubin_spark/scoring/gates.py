"""Why an object is not classified, or not ranked: conditions on what its alerts say, before any model is asked.

Gates, not the network, recognise solar-system objects and bogus detections. Each is a (B,) bool array, true where the object fails it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.settings import ScoringSettings

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ObjectFacts:
    """What the gates look at, of B objects.

    is_fitted : (B,) bool, features have status ok      n_detections : (B,) [1]      rb, drb : (B,) highest of the night, NaN where unknown
    asteroid_distance : (B,) [arcsec] to the nearest known solar-system object, NaN where none is near
    """

    is_fitted: Mask
    n_detections: NDArray[np.floating]
    rb: NDArray[np.floating]
    drb: NDArray[np.floating]
    asteroid_distance: NDArray[np.floating]


def is_bogus(facts: ObjectFacts, settings: ScoringSettings) -> Mask:
    """Best drb of the night below its limit; where no alert has a drb (before schema 3.3), best rb below its own."""
    return np.where(np.isnan(facts.drb), facts.rb < settings.min_rb, facts.drb < settings.min_drb)


def is_known_asteroid(facts: ObjectFacts, settings: ScoringSettings) -> Mask:
    """A known solar-system object was within the limit of an alert of the night."""
    return np.asarray(facts.asteroid_distance <= settings.max_asteroid_distance)


def anomaly_gates(facts: ObjectFacts, settings: ScoringSettings) -> dict[str, Mask]:
    """Every gate of the anomaly ranking by name, in the order in which reasons are listed."""
    return {
        "bogus": is_bogus(facts, settings),
        "known_asteroid": is_known_asteroid(facts, settings),
        "too_few_detections": facts.n_detections < settings.anomaly_min_detections,
        "no_features": ~facts.is_fitted,
    }


def score_gates(facts: ObjectFacts, settings: ScoringSettings) -> dict[str, Mask]:
    """The gates of the classification, most telling first: the first one failed is the reason."""
    return {
        "known_asteroid": is_known_asteroid(facts, settings),
        "bogus": is_bogus(facts, settings),
        "too_few_points": facts.n_detections < settings.min_detections,
    }
