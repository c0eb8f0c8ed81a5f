"""Discriminants and class densities against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from deeprubin_spark.kernels.latent_density import PRIOR_OBJECTS, ClassDensities, Discriminants


@pytest.fixture
def clusters():
    rng = np.random.default_rng(1)
    target = rng.integers(0, 4, 2000)
    centres = rng.normal(0.0, 2.0, (4, 10))
    return centres[target] + rng.normal(size=(2000, 10)) @ (np.eye(10) + 0.1 * rng.normal(size=(10, 10))), target


def test_the_discriminants_span_those_of_scikit_learn(clusters):
    hidden, target = clusters
    ours = Discriminants.fit(hidden, target)(hidden)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(hidden, target).transform(hidden)
    assert ours.shape == theirs.shape == (2000, 3)
    correlation = np.corrcoef(ours.T, theirs.T)[:3, 3:]
    np.testing.assert_allclose(np.abs(correlation), np.eye(3), atol=5e-3)


def test_within_classes_the_coordinates_have_unit_covariance(clusters):
    hidden, target = clusters
    z = Discriminants.fit(hidden, target)(hidden)
    apart = np.concatenate([z[target == c] - z[target == c].mean(axis=0) for c in range(4)])
    np.testing.assert_allclose(apart.T @ apart / len(apart), np.eye(3), atol=0.02)


def test_one_class_alone_is_refused():
    with pytest.raises(ValueError, match="two classes"):
        Discriminants.fit(np.zeros((5, 2)), np.zeros(5, int))


def test_the_densities_are_scipys_of_the_shrunk_covariances(clusters):
    hidden, target = clusters
    z = Discriminants.fit(hidden, target)(hidden)
    found = ClassDensities.fit(z, target).surprise(z[:50])
    for c in range(4):
        of_class = z[target == c]
        n = len(of_class)
        covariance = (np.cov(of_class.T, bias=True) * n + PRIOR_OBJECTS * np.eye(3)) / (n + PRIOR_OBJECTS)
        expected = -multivariate_normal(of_class.mean(axis=0), covariance).logpdf(z[:50])
        np.testing.assert_allclose(found[:, c], expected, rtol=1e-10)


def test_a_class_of_one_object_has_a_density(clusters):
    hidden, target = clusters
    z = Discriminants.fit(hidden, target)(hidden)
    alone = ClassDensities.fit(z, np.where(np.arange(2000) == 0, 9, target))
    assert np.isfinite(alone.surprise(z)).all() and alone.means.shape == (5, 3)
