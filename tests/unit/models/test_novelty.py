"""The anomaly score: what is unlike everything known scores high, what is usual has its false-alarm rate."""

import numpy as np
import pytest

from deeprubin_spark.models.forest import AnomalyForest
from deeprubin_spark.models.novelty import COMPONENTS, Latents, Novelty, physical_deviation, seen

NAMES = ("gp_nll_per_obs", "delta_bic_bazin", "delta_bic_flare", "duration")
CENTRES = 6.0 * np.eye(3, 5)


def objects(n, seed, centre=None):
    """disagreement, divergence, hidden (n, 5) about three classes or about `centre`, feature values (n, 4), classes."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 3, n)
    hidden = (CENTRES[target] if centre is None else np.asarray(centre)) + rng.normal(size=(n, 5))
    return (rng.exponential(0.1, n), rng.exponential(0.1, n), hidden), rng.normal(size=(n, 4)), 2 * target


@pytest.fixture(scope="module")
def made():
    judged, values, target = objects(900, 1)
    latents = Latents.fit(judged[2], target, np.array([f"object{i}" for i in range(900)]), 1)
    forest = AnomalyForest.fit(values, 1)
    usual, of_usual, _ = objects(2000, 2)
    return Novelty.fit(latents, seen(latents, forest, usual, NAMES, of_usual).components), forest


def anomaly(made, judged, values):
    return made[0].anomaly(seen(made[0].latents, made[1], judged, NAMES, values))


def test_usual_objects_have_every_false_alarm_rate_as_often_as_it_says(made):
    judged, values, _ = objects(2000, 3)
    rate = anomaly(made, judged, values).false_alarm_rate
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (rate <= level).mean() == pytest.approx(level, abs=3.5 * np.sqrt(level / 2000) + 0.01)


def test_objects_between_the_classes_score_above_usual_ones_by_what_tells_them_apart(made):
    (disagreement, divergence, hidden), values, _ = objects(200, 4, centre=[-4.0, -4.0, -4.0, 0.0, 0.0])
    found = anomaly(made, (disagreement, divergence, hidden), values)
    usual = anomaly(made, *objects(200, 5)[:2])
    assert np.median(found.score) > np.quantile(usual.score, 0.95)
    assert np.isin(np.array(COMPONENTS)[found.most_telling], ("latent_density", "latent_isolation")).mean() > 0.9
    torn = anomaly(made, (disagreement + 5.0, divergence, objects(200, 6)[0][2]), values)
    assert (np.array(COMPONENTS)[torn.most_telling] == "disagreement").mean() > 0.9


def test_the_nearest_class_and_the_nearest_objects_are_of_that_class(made):
    latents = made[0].latents
    judged, values, target = objects(100, 7)
    found = anomaly(made, judged, values)
    assert (found.seen.nearest_class == target).mean() > 0.98
    places, distances = latents.nearest(found.seen.coordinates)
    every = np.linalg.norm(latents.coordinates.astype(float) - found.seen.coordinates[:, None], axis=2)
    np.testing.assert_array_equal(places, every.argsort(axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :3], atol=1e-6)
    assert latents.nearest(found.seen.coordinates[:0])[0].shape == (0, 3)


def test_the_best_physical_model_is_that_of_the_lowest_bic_and_none_where_none_was_fitted(made):
    values = np.array([[0.0, -3.0, 8.0, 1.0], [0.0, 9.0, 4.0, 1.0], [0.0, np.nan, np.nan, 1.0]])
    s_phys, best = physical_deviation(NAMES, values)
    np.testing.assert_array_equal(s_phys, [-3.0, 4.0, np.nan])
    assert best.tolist() == ["bazin", "flare", ""]


def test_what_is_not_known_of_an_object_does_not_make_it_unusual(made):
    judged, values, _ = objects(50, 8)
    without = values.copy()
    without[:, 1:3] = np.nan
    assert (anomaly(made, judged, without).score <= anomaly(made, judged, np.where(np.arange(4) == 1, 50.0, values)).score + 1e-12).all()


def test_an_answer_does_not_depend_on_the_objects_beside_it(made):
    judged, values, _ = objects(300, 9)
    whole = anomaly(made, judged, values)
    one = anomaly(made, tuple(of[17:19] for of in judged), values[17:19])
    np.testing.assert_array_equal(whole.score[17:19], one.score)


def test_what_was_written_reads_back_to_the_last_bit(made):
    again = Novelty.of(made[0].arrays())
    judged, values, _ = objects(40, 10)
    np.testing.assert_array_equal(anomaly((again, made[1]), judged, values).score, anomaly(made, judged, values).score)
    assert again.latents.object_id.tolist() == made[0].latents.object_id.tolist()
