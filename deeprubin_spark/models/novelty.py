"""How unlike everything known an object is, by what a classifier makes of it: the anomaly score.

Seven components, each larger for the unusual:

disagreement       [nat] what draws of the network's weights disagree about: mutual information of class and draw
divergence         [nat] how far the network and the trees are apart
latent_density     [nat] -ln p(z | c) of the nearest class c, z the discriminant coordinates of the network's last hidden layer
latent_isolation   [1] lowest isolation-forest score among the forests of the classes, in z      (after Gupta, Muthukrishna & Lochner 2025, arXiv:2403.08888)
feature_isolation  [1] isolation-forest score of the feature values among real objects
forecast           [nat] mean surprise of each point from those before it, errors and process together: the Gaussian process's -ln evidence a point
physical           [1] S_phys = min over physical models k of BIC_k - BIC of the Gaussian process: what none of them explains as well as a free curve

Each has a chance, the share of usual objects that reach it (`kernels.tail_chance`), and the score is the weighted mean of -log10 of the seven: the last two ask
nearly the same, of the light curve alone, and share one vote (docs/benchmarks.md). What is not known of an object counts as usual. Usual objects did not train
the classifier. How many of them reach a score is its false-alarm rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.feature_catalogue import MODEL_BIC
from deeprubin_spark.kernels.isolation_forest import Forest, score_samples
from deeprubin_spark.kernels.latent_density import ClassDensities, Discriminants
from deeprubin_spark.kernels.tail_chance import TailChance
from deeprubin_spark.models.forest import AnomalyForest, Arrays, fitted_forest, forest_arrays, forest_of

COMPONENTS = ("disagreement", "divergence", "latent_density", "latent_isolation", "feature_isolation", "forecast", "physical")
WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5])
FORECAST = "gp_nll_per_obs"  # the feature
N_NEAREST = 3
_N_TREES = 25  # of each class's forest
_LEAST_OBJECTS = 8  # of a class that gets a forest
_SCORE = "score"
_BLOCK = 256

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Components = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Latents:
    """What objects that trained look like to the network.

    classes : (K,) places in the taxonomy of those that trained      forests : of those with enough objects
    object_id : (M,) of known objects, at `coordinates` (M, D), of the classes `known_class` (M,), places in the taxonomy
    """

    discriminants: Discriminants
    densities: ClassDensities
    classes: IntArray
    forests: tuple[Forest, ...]
    object_id: NDArray[np.str_]
    coordinates: NDArray[np.float32]
    known_class: IntArray

    @classmethod
    def fit(cls, hidden: NDArray[np.floating], target: NDArray[np.integer], object_id: NDArray[np.str_], seed: int) -> Latents:
        """From hidden values (N, H), classes and ids (N,) of the objects that trained. ValueError for fewer than two classes."""
        discriminants = Discriminants.fit(hidden, target)
        z = discriminants(hidden)
        known, counts = np.unique(target, return_counts=True)
        forests = tuple(fitted_forest(z[target == c], _N_TREES, seed) for c, n in zip(known, counts, strict=True) if n >= _LEAST_OBJECTS)
        densities = ClassDensities.fit(z, target)
        return cls(discriminants, densities, known.astype(np.int64), forests, object_id, z.astype(np.float32), target.astype(np.int64))

    def look(self, hidden: NDArray[np.floating]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Coordinates (B, D), -ln p(z | c) of each class (B, K), and the lowest isolation (B,).  hidden : (B, H)

        By blocks of one size, for sums in another order would give another last digit: an object's answer is its own.
        """
        made = [self._of_block(hidden[start : start + _BLOCK]) for start in range(0, max(len(hidden), 1), _BLOCK)]
        coordinates, surprise, isolation = zip(*made, strict=True)
        return np.concatenate(coordinates), np.concatenate(surprise), np.concatenate(isolation)

    def _of_block(self, hidden: NDArray[np.floating]) -> tuple[FloatArray, FloatArray, FloatArray]:
        n = len(hidden)
        z = self.discriminants(np.concatenate([hidden, np.zeros((_BLOCK - n, hidden.shape[1]))]))
        isolation = [-score_samples(forest, z[:n]) for forest in self.forests]
        return z[:n], self.densities.surprise(z)[:n], np.min(isolation, axis=0) if isolation else np.zeros(n)

    def nearest(self, z: FloatArray) -> tuple[IntArray, FloatArray]:
        """The three known objects nearest in z: their places (B, 3) and distances (B, 3) [standard deviations within a class], nearest first."""
        near = min(N_NEAREST, len(self.coordinates))
        reference = self.coordinates.astype(np.float64)
        squared = (z**2).sum(axis=1)[:, None] - 2.0 * z @ reference.T + (reference**2).sum(axis=1)
        found = np.argpartition(squared, near - 1, axis=1)[:, :near] if len(z) else np.zeros((0, near), np.int64)
        order = np.argsort(np.take_along_axis(squared, found, axis=1), axis=1, kind="stable")
        places = np.take_along_axis(found, order, axis=1).astype(np.int64)
        return places, np.sqrt(np.maximum(np.take_along_axis(squared, places, axis=1), 0.0))


@dataclass(frozen=True)
class Seen:
    """Of B objects.

    components : (B,) each by name, NaN where not known      nearest_class : (B,) place in the taxonomy      coordinates : (B, D) for `Latents.nearest`
    shares : (B, F) of the features in the isolation among real objects, see `forest.AnomalyForest.score`
    best_model : (B,) name of the physical model of the lowest BIC, '' where none was fitted
    """

    components: Components
    nearest_class: IntArray
    coordinates: FloatArray
    shares: FloatArray
    best_model: NDArray[np.str_]


@dataclass(frozen=True)
class Anomaly:
    """How unusual B objects are.

    score : (B,) 0 and more      false_alarm_rate : (B,) share of usual objects with such a score or a higher one
    most_telling, chance : (B,) place in COMPONENTS of the least likely component, and share of usual objects that reach it
    """

    seen: Seen
    score: FloatArray
    false_alarm_rate: FloatArray
    most_telling: IntArray
    chance: FloatArray


@dataclass(frozen=True)
class Novelty:
    """Latents of known objects, and what the components and the score are among usual ones: `chances` by name, that of the score among them."""

    latents: Latents
    chances: Mapping[str, TailChance]

    @classmethod
    def fit(cls, latents: Latents, usual: Components) -> Novelty:
        """From each component (N,) of usual objects, which did not train. ValueError where there are none."""
        chances = {name: TailChance.fit(usual[name][np.isfinite(usual[name])]) for name in COMPONENTS}
        return cls(latents, {**chances, _SCORE: TailChance.fit(_score(chances, usual))})

    def anomaly(self, seen: Seen) -> Anomaly:
        """Of B objects; see the module for the formulas."""
        score = _score(self.chances, seen.components)
        chance = np.stack([self.chances[name](seen.components[name]) for name in COMPONENTS], axis=1)
        return Anomaly(seen, score, self.chances[_SCORE](score), chance.argmin(axis=1), chance.min(axis=1))

    def arrays(self) -> Arrays:
        """For a safetensors file."""
        of = self.latents
        told: Arrays = {
            "centre": of.discriminants.centre,
            "projection": of.discriminants.projection,
            "means": of.densities.means,
            "factors": of.densities.factors,
            "offsets": of.densities.offsets,
            "classes": of.classes,
            "object_id": np.frombuffer("\n".join(of.object_id.tolist()).encode(), np.uint8),
            "coordinates": of.coordinates,
            "known_class": of.known_class,
            "levels": np.stack([chance.levels for chance in self.chances.values()]),
            "scales": np.array([chance.scale for chance in self.chances.values()]),
        }
        for place, forest in enumerate(of.forests):
            told |= {f"forest.{place}.{name}": values for name, values in forest_arrays(forest).items()}
        return told

    @classmethod
    def of(cls, arrays: Arrays) -> Novelty:
        """From what `arrays` gave. KeyError or ValueError where they are not such."""
        number = {name: np.asarray(arrays[name], np.float64) for name in ("centre", "projection", "means", "factors", "offsets", "levels")}
        n_forests = len({name.split(".")[1] for name in arrays if name.startswith("forest.")})
        forests = tuple(
            forest_of({name.split(".")[2]: values for name, values in arrays.items() if name.startswith(f"forest.{place}.")})
            for place in range(n_forests)
        )
        latents = Latents(
            Discriminants(number["centre"], number["projection"]),
            ClassDensities(number["means"], number["factors"], number["offsets"]),
            np.asarray(arrays["classes"], np.int64),
            forests,
            np.array(np.asarray(arrays["object_id"], np.uint8).tobytes().decode().split("\n")),
            np.asarray(arrays["coordinates"], np.float32),
            np.asarray(arrays["known_class"], np.int64),
        )
        scales = np.asarray(arrays["scales"], np.float64).tolist()
        names = (*COMPONENTS, _SCORE)
        return cls(latents, {name: TailChance(*one) for name, *one in zip(names, number["levels"], scales, strict=True)})


def seen(
    latents: Latents,
    forest: AnomalyForest,
    judged: tuple[FloatArray, FloatArray, FloatArray],
    names: Sequence[str],
    values: NDArray[np.floating],
) -> Seen:
    """From what a classifier makes of B objects, disagreement, divergence (B,) and hidden (B, H), and their values (B, F) of the features `names`."""
    disagreement, divergence, hidden = judged
    z, surprise, isolation = latents.look(hidden)
    of_features, shares = forest.score(values)
    physical, best_model = physical_deviation(names, values)
    forecast = np.asarray(values[:, names.index(FORECAST)], np.float64)
    every = (disagreement, divergence, surprise.min(axis=1), isolation, of_features, forecast, physical)
    return Seen(dict(zip(COMPONENTS, every, strict=True)), latents.classes[surprise.argmin(axis=1)], z, shares, best_model)


def physical_deviation(names: Sequence[str], values: NDArray[np.floating]) -> tuple[FloatArray, NDArray[np.str_]]:
    """S_phys (B,), NaN where no model was fitted, and the name of the best model (B,), of values (B, F) of the features `names`."""
    columns = [i for i, name in enumerate(names) if name.startswith(MODEL_BIC)]
    models = np.array([names[i].removeprefix(MODEL_BIC) for i in columns])
    bic = np.where(np.isnan(values[:, columns]), np.inf, values[:, columns]).astype(np.float64)
    lowest = bic.min(axis=1, initial=np.inf)
    is_fitted = np.isfinite(lowest)
    return np.where(is_fitted, lowest, np.nan), np.where(is_fitted, models[bic.argmin(axis=1)], "")


def _score(chances: Mapping[str, TailChance], components: Components) -> FloatArray:
    return np.asarray(np.average([-np.log10(chances[name](components[name])) for name in COMPONENTS], axis=0, weights=WEIGHTS))
