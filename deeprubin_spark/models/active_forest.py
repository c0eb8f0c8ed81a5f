"""Isolation trees whose leaves are weighed by people's votes: active anomaly detection.

Das et al. 2017 (arXiv:1708.09441) as in coniferest (Kornilov et al. 2025, Astronomy and Computing 52, 100960): with z the leaves of all trees that an object
falls into, 1 each, and 0 elsewhere, the score is w . z; the weights w, at first the same everywhere, are those that minimise

    C_a / |A| sum over anomalies of max(0, q - w . z) + C_n / |N| sum over the others of max(0, w . z - q) + alpha / 2 |w - w_0|^2

(signs so that anomalies score high). Leaves count alike however deep they lie: the order without votes comes from elsewhere, and weights of leaves that
isolate early, coniferest's default, learn too slowly for a hundred votes (docs/benchmarks.md, study `active`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from coniferest.aadforest import AADForest
from coniferest.label import Label
from numpy.typing import NDArray

from deeprubin_spark.models.inputs import FeatureScaler

N_TREES = 100
N_SUBSAMPLES = 256
PRIOR_INFLUENCE = 1.0  # alpha

FloatArray = NDArray[np.float64]


class ActiveForest:
    """Trees of a sample of objects, and scores of any objects by votes on some."""

    def __init__(self, values: NDArray[np.floating], names: Sequence[str], seed: int) -> None:
        """From feature values (N, F), NaN where missing, of the features `names`; the same values and seed give the same trees.

        ValueError for fewer than 2 objects.
        """
        if len(values) < 2:
            raise ValueError(f"active forest: at least 2 objects expected, found {len(values)}")
        self._scaler = FeatureScaler.fit(values, names)
        self._forest = AADForest(
            n_trees=N_TREES,
            n_subsamples=min(N_SUBSAMPLES, len(values)),
            prior_influence=PRIOR_INFLUENCE,
            map_value="const",
            n_jobs=1,
            random_seed=seed,
        )
        self._forest.fit(self.scaled(values))
        self._equal = self._forest.evaluator.weights.copy()

    def score(self, values: FloatArray, voted: FloatArray, is_anomaly: NDArray[np.bool_]) -> FloatArray:
        """Scores (B,) of objects with values (B, F), higher for more of what was voted for, by votes on objects with values (V, F), both as `scaled`.

        Votes of earlier calls count no more. ValueError without a vote.
        """
        if len(voted) == 0 or len(voted) != len(is_anomaly):
            raise ValueError(
                f"active forest: one vote or more, each with its object, expected, found {len(is_anomaly)} of {len(voted)} objects"
            )
        self._forest.evaluator.weights = self._equal.copy()
        self._forest.fit_known(voted, voted, np.where(is_anomaly, Label.ANOMALY, Label.REGULAR))
        return -np.asarray(self._forest.score_samples(values), np.float64)

    def scaled(self, values: NDArray[np.floating]) -> FloatArray:
        """Feature values (B, F), NaN where missing, as the trees part them."""
        return self._scaler.scaled(values).astype(np.float64)


def active_scores(
    forest: ActiveForest,
    values: FloatArray,
    static_share: FloatArray,
    voted: FloatArray,
    is_anomaly: NDArray[np.bool_],
) -> FloatArray:
    """Scores (B,) that order candidates by votes and by the order that knows of none, higher first.

    score = 1 - share of candidates that the forest puts before it - static_share / (1 + number of votes "anomaly"):

    until a vote says "anomaly", votes only say where not to look, and the static order says where to; each such vote then takes weight from it.
    static_share (B,) in (0, 1], rank over number. Other arguments and errors as `ActiveForest.score`.
    """
    place = np.argsort(np.argsort(-forest.score(values, voted, is_anomaly), kind="stable"), kind="stable")
    return 1.0 - place / len(values) - static_share / (1.0 + is_anomaly.sum())
