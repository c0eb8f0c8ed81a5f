"""Copies train with their parents, are never judged, and class shares are estimated only where judged light curves may be used."""

from __future__ import annotations

import dataclasses
import subprocess

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from deeprubin_spark import __version__
from deeprubin_spark.errors import DataGateError
from deeprubin_spark.kernels.calibration import label_shift
from deeprubin_spark.models.boosted_copies import N_FEATURES, boosted_trees, most_telling
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import augmented, benchmark, code_version
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.protocols import PROTOCOLS, Split

N, N_TRAIN, N_COPIES = 600, 60, 10
IA, II = (CLASS_NAMES.index(name) for name in ("SNIa", "SNII"))
BIASED = PROTOCOLS["spcc-biased"]


@pytest.fixture(autouse=True)
def one_thread():
    """scikit-learn's threads wait for each other in a busy loop, which on a machine with other work takes minutes for a small fit."""
    with threadpool_limits(1):
        yield


def labelled(object_id, names, values, target):
    """Objects without light curves, of which trees know nothing."""
    nothing = np.zeros((len(target), 2, 1), np.float32)
    return Labelled(object_id, names, values, target, nothing[:, 0], nothing, nothing, nothing[:, 0], target.astype(str))


def predictions(directory, objects, copies):
    """Of the judged objects by boosted trees, with copies of that survey."""
    of = {copies: copies_of(objects)} if copies else {}
    task = benchmark.Task("spcc-biased", BIASED, "boosted_trees", objects, np.arange(N) < N_TRAIN, directory, of)
    return benchmark.predictions(task, split_of(copies), 1)


def sky():
    """Training objects are half Ia, judged ones a fifth; one feature tells them apart, one is never known."""
    rng = np.random.default_rng(1)
    target = np.where(rng.uniform(size=N) < np.where(np.arange(N) < N_TRAIN, 0.5, 0.2), IA, II)
    values = rng.normal(size=(N, 4)).astype(np.float32)
    values[:, 0] += 1.5 * (target == IA)
    values[:, 3] = np.nan
    return labelled(np.array([f"{i:04}" for i in range(N)]), ("a", "b", "c", "u"), values, target)


def copies_of(objects, survey="spcc_transductive"):
    rows = np.repeat(np.arange(N_TRAIN), N_COPIES)
    noise = np.random.default_rng(2).normal(0.0, 0.7, (len(rows), 4)).astype(np.float32)
    names = np.array([f"{objects.object_id[row]}/copy-{k % N_COPIES + 1}" for k, row in enumerate(rows)])
    return labelled(names, objects.names, objects.values[rows] + noise, objects.target[rows])


def split_of(copies):
    return Split("one", np.arange(N_TRAIN), np.arange(N_TRAIN, N), copies)


def test_a_copy_of_a_judged_object_is_refused_and_so_is_one_of_another_class():
    objects = sky()
    copies = copies_of(objects)
    augmented.require_parents(objects, split_of("spcc_inductive"), copies)
    names = copies.object_id.copy()
    names[3] = f"{objects.object_id[N_TRAIN]}/copy-1"
    labels = copies.target.copy()
    labels[0] = IA if labels[0] == II else II
    for wrong in (dataclasses.replace(copies, object_id=names), dataclasses.replace(copies, target=labels)):
        with pytest.raises(DataGateError, match="found 1 others"):
            augmented.require_parents(objects, split_of("spcc_inductive"), wrong)
    with pytest.raises(DataGateError, match="features"):
        augmented.require_parents(objects, split_of("spcc_inductive"), dataclasses.replace(copies, names=("a", "b", "d", "u")))


def test_shares_are_those_of_the_sky_only_where_judged_light_curves_may_be_used(tmp_path):
    objects = sky()
    found = {survey: predictions(tmp_path / survey, objects, survey) for survey in ("spcc_inductive", "spcc_transductive")}
    both = np.concatenate([objects.target[:N_TRAIN], copies_of(objects).target])
    shares = np.bincount(both, minlength=len(CLASS_NAMES)) / len(both)
    expected = label_shift(found["spcc_inductive"], shares)[1]
    np.testing.assert_allclose(found["spcc_transductive"], expected, atol=1e-9)
    truth = np.mean(objects.target[N_TRAIN:] == IA)
    inductive, transductive = (found[survey][:, IA].mean() for survey in found)
    assert truth < transductive < inductive


def test_without_copies_the_plain_model_trains_though_a_feature_is_never_known(tmp_path):
    found = predictions(tmp_path, sky(), "")
    assert found.shape == (N - N_TRAIN, len(CLASS_NAMES)) and np.isfinite(found).all()


def test_a_fit_is_made_again_when_its_copies_or_rows_are_others(tmp_path):
    objects = sky()
    task = benchmark.Task(
        "spcc-biased", BIASED, "boosted_trees", objects, np.arange(N) < N_TRAIN, tmp_path, {"spcc_inductive": copies_of(objects)}
    )
    copies = copies_of(objects)
    other = dataclasses.replace(task, copies={"spcc_inductive": dataclasses.replace(copies, values=copies.values + np.float32(1.0))})
    split = split_of("spcc_inductive")
    fewer = dataclasses.replace(split, train=split.train[1:])
    assert len({task.key(1, split), other.key(1, split), task.key(1, split_of("")), task.key(1, fewer), task.key(2, split)}) == 5
    assert other.key(1, split_of("")) == task.key(1, split_of("")), "a fit without copies does not depend on them"


def test_the_most_telling_features_are_kept():
    rng = np.random.default_rng(3)
    target = rng.integers(0, 2, 400)
    values = rng.normal(size=(400, N_FEATURES + 60)).astype(np.float32)
    values[:, [5, 130]] += 3.0 * target[:, None]
    chosen = most_telling(values, target, np.ones(400), 1)
    assert len(chosen) == N_FEATURES and {5, 130} <= set(chosen.tolist()) and (np.diff(chosen) > 0).all()
    assert boosted_trees(values, target, np.ones(400), values[:3], 4, 1)[:, 2:].max() == 0.0, "a class without training rows gets 0"


def test_a_result_says_which_code_made_it(monkeypatch):
    commit = code_version.commit()
    assert commit == __version__ or len(commit.removesuffix("+changes")) == 40

    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert code_version.commit() == __version__
