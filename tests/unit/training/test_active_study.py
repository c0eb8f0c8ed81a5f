from __future__ import annotations

import json

import numpy as np
import pytest

from deeprubin_spark.models.forest import AnomalyForest
from deeprubin_spark.reporting.study_sections import study_section
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import active_study
from deeprubin_spark.training.active_study import night, rank_by_votes, voted
from deeprubin_spark.training.held_out_study import place_of
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.studies import Study

NAMES = ("duration", "rise_20_g", "fall_20_g", "gp_timescale")
KILONOVA, TDE, MIRA = (CLASS_NAMES.index(name) for name in ("Kilonova", "TDE", "Mira"))


def objects(n: int = 400) -> Labelled:
    """Most of them Mira stars; kilonovae and TDE, 30 each, are odd in one feature each."""
    rng = np.random.default_rng(1)
    target = np.full(n, MIRA)
    target[:30], target[30:60] = KILONOVA, TDE
    values = rng.normal(size=(n, 4)).astype(np.float32)
    values[:30, 0] += 5.0
    values[30:60, 1] += 7.0
    ids, nothing = np.array([f"{i:05}" for i in range(n)]), np.zeros((n, 1), np.float32)
    return Labelled(
        ids, NAMES, values, target, nothing, np.zeros((n, 6, 1), np.float32), np.zeros((n, 6, 1), np.float32), nothing, target.astype(str)
    )


@pytest.mark.parametrize("n_kind", [12, 40])
def test_votes_find_a_faint_cluster_that_the_forest_puts_behind_odder_ones(n_kind):
    rng = np.random.default_rng(1)
    values, is_kind = rng.normal(size=(1200, 20)), np.arange(1200) < n_kind
    values[is_kind, :3] += 3.0
    values[n_kind : n_kind + 150, 3:7] += rng.exponential(4.0, size=(150, 4))
    static = AnomalyForest.fit(values, 1).score(values)[0]
    by_votes = rank_by_votes(values, [f"f{i}" for i in range(20)], static, seed=1)
    found = voted(is_kind, static, by_votes, 60).sum()
    assert found >= 0.9 * n_kind
    assert found >= 4 * voted(is_kind, static, None, 60).sum() > 0


def test_a_night_has_one_in_a_hundred_of_the_kind_or_all_there_are():
    is_kind = np.zeros(2000, bool)
    is_kind[:60] = True
    rows = night(is_kind, 1)
    assert is_kind[rows].sum() == 20 and (~is_kind[rows]).sum() == 1940 and len(set(rows)) == len(rows)
    assert not np.array_equal(rows, night(is_kind, 2))
    is_kind[5:] = False
    assert is_kind[night(is_kind, 1)].sum() == 5


def test_nobody_votes_twice_on_an_object_and_without_a_rank_the_static_order_is_read():
    truth, static = np.arange(50) % 7 == 0, np.random.default_rng(2).normal(size=50)
    np.testing.assert_array_equal(voted(truth, static, None, 10), truth[np.argsort(-static)[:10]])
    seen = []
    voted(truth, static, lambda rows, said: seen.append(rows) or static[::-1], 80)
    assert sorted(set(seen[-1].tolist())) == sorted(seen[-1].tolist()) and len(seen[-1]) == 49


def test_the_classifier_gives_every_object_probabilities_of_the_other_classes_alone():
    made = objects()
    found = active_study._unseen(made.values.astype(float), np.where(made.target == KILONOVA, -1, made.target), 1)
    assert found.shape == (400, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert (found[30:60, 0] > 0.5).mean() > 0.9 and (found[60:, 1] > 0.5).mean() > 0.9, "TDE, then Mira, as in the taxonomy"


def test_the_study_keeps_each_loop_and_is_a_section_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(active_study, "N_VOTES", 12)
    monkeypatch.setattr(active_study, "KINDS", ("Kilonova", "TDE"))
    made = objects()
    study = Study(made, np.zeros(400, bool), tmp_path, "deeprubin-study --study active", "0" * 40)
    result = active_study.run(study, [1, 2])
    assert json.loads((tmp_path / "study-active.json").read_text()) == result
    places = sorted((tmp_path / "active").iterdir())
    before = [place.stat().st_mtime_ns for place in places]
    assert len(places) == 4 and active_study.run(study, [1, 2])["rows"] == result["rows"]
    assert [place.stat().st_mtime_ns for place in places] == before, "no loop is made twice"
    rows = {row["name"]: row for row in result["rows"]}
    ratio = rows["isolation forest, votes"]["purity"]["mean"] / rows["isolation forest, static"]["purity"]["mean"]
    assert rows["isolation forest, votes"]["times_static"]["mean"] == pytest.approx(ratio, rel=1e-3)
    assert "PLAsTiCC, 400 objects" in study_section(result) and "times static" in study_section(result)


def test_the_score_of_models_that_saw_neither_class_nor_object_starts_loops_too(tmp_path, monkeypatch):
    monkeypatch.setattr(active_study, "N_VOTES", 12)
    monkeypatch.setattr(active_study, "KINDS", ("Kilonova", "TDE"))
    made, rng = objects(), np.random.default_rng(3)
    study = Study(made, np.zeros(400, bool), tmp_path, "deeprubin-study --study active", "0" * 40)
    (tmp_path / "held-out").mkdir()
    for kind, place in (("Kilonova", KILONOVA), ("TDE", TDE)):
        is_held = made.target == place
        for seed in (1, 2):
            row = np.sort(np.concatenate([np.flatnonzero(is_held), rng.choice(np.flatnonzero(~is_held), 25, replace=False)]))
            score = np.where(is_held[row], 2.0, 1.0) + rng.normal(size=len(row))
            np.savez(place_of(study, kind, is_held, seed), row=row, is_held=is_held[row], score=score)
    names = [row["name"] for row in active_study.run(study, [1])["rows"]]
    assert names[-2:] == ["score, static", "score, votes"]
    fits = [place_of(study, "TDE", made.target == TDE, seed) for seed in (1, 2, 3)]
    scores = active_study.held_out_scores(fits, made.target == TDE)
    assert scores.shape == (2, 400) and np.isfinite(scores).sum(axis=1).tolist() == [55, 55]
    with pytest.raises(ValueError, match="fits on the 400 objects of this study expected"):
        active_study.held_out_scores(fits, made.target == MIRA)
