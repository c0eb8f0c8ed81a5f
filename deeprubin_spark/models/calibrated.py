"""What a published model knows of its own probabilities, from objects that it was not trained on: a temperature, sets of classes, and bins of confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.calibration import conformal_scores, conformal_sets, conformal_threshold, reliability, temperature
from deeprubin_spark.models.uncertainty import softmax

COVERAGE = 0.9  # [1] of the sets of classes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """Fitted on objects that did not train the network.

    temperature : divides logits      set_threshold : of `kernels.calibration.conformal_sets`, for sets that hold the true class in `COVERAGE` of all cases
    bin_edges : (K - 1,) confidences between bins of equally many objects      bin_accuracy : (K,) share of right classes in each
    class_shares : (C,) of the classes among objects like those that trained, for which the probabilities hold
    """

    temperature: float
    set_threshold: float
    bin_edges: FloatArray
    bin_accuracy: FloatArray
    class_shares: FloatArray

    @classmethod
    def fit(cls, logits: FloatArray, target: IntArray, is_first: NDArray[np.bool_], class_shares: FloatArray) -> Calibration:
        """From K draws of logits (K, N, C) and classes (N,): the temperature on the objects `is_first` (N,), sets and bins on the others."""
        t = temperature(logits[:, is_first], target[is_first])
        probabilities, truth = softmax(logits[:, ~is_first] / t).mean(axis=0), target[~is_first]
        bins = reliability(probabilities, truth)
        highest = np.sort(probabilities.max(axis=1))
        edges = highest[np.cumsum(bins.n_objects)[:-1]]
        return cls(t, conformal_threshold(_scores(probabilities), truth, COVERAGE), edges, bins.accuracy, class_shares)

    def sets(self, probabilities: FloatArray) -> NDArray[np.bool_]:
        """Classes of each object (B, C) that cannot be excluded, the most probable among them.  probabilities : (B, C)"""
        return conformal_sets(probabilities, _scores(probabilities), self.set_threshold)

    def bins(self, probabilities: FloatArray) -> IntArray:
        """Bin of each object's highest probability (B,), 0 the least sure.  probabilities : (B, C)"""
        return np.searchsorted(self.bin_edges, probabilities.max(axis=1, initial=0.0), side="right").astype(np.int64)

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "temperature": self.temperature,
            "coverage": COVERAGE,
            "set_threshold": self.set_threshold,
            "bin_edges": self.bin_edges.tolist(),
            "bin_accuracy": self.bin_accuracy.tolist(),
            "class_shares": self.class_shares.tolist(),
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Calibration:
        """From what `as_dict` gave. KeyError, TypeError or ValueError where it is not such."""
        edges, accuracy, shares = (np.asarray(told[name], np.float64) for name in ("bin_edges", "bin_accuracy", "class_shares"))
        return cls(float(told["temperature"]), float(told["set_threshold"]), edges, accuracy, shares)


def _scores(probabilities: FloatArray) -> FloatArray:
    """Not randomised: the same object has the same set every night. Fitted and used alike, the sets hold the truth as often all the same."""
    return conformal_scores(probabilities, np.ones(len(probabilities)))
