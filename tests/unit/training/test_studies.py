from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.feature_catalogue import LSST_UGRIZY
from deeprubin_spark.models.inputs import FeatureScaler, channels
from deeprubin_spark.models.losses import reconstruction_loss
from deeprubin_spark.models.networks import network_of
from deeprubin_spark.models.uncertainty import of_draws
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import bayesian_study, coverage_study, held_out_study, shift_study, sigma_study, studies
from deeprubin_spark.training.adaptation import learn_curves
from deeprubin_spark.training.fits import in_memory
from deeprubin_spark.training.labelled import Labelled
from deeprubin_spark.training.loop import Preparation
from deeprubin_spark.training.studies import Study, summarised

N = 240
IA, II = (CLASS_NAMES.index(name) for name in ("SNIa", "SNII"))
NUMBER = {"mean", "sd_of_seeds", "low", "high"}
ORIGIN = {"study", "rows", "command", "commit", "data_sha256", "seeds", "objects", "core_seconds", "longest_fit_core_seconds", "judged"}


def objects(n: int = N, seed: int = 1, bright: int = 60) -> Labelled:
    """Two classes that a bump's place tells apart, and two features, which all but the first `bright` objects have moved by 3."""
    rng = np.random.default_rng(seed)
    target = rng.choice([IA, II], size=n)
    values = rng.normal(size=(n, 2)).astype(np.float32)
    values[:, 0] += 4.0 * (target == II)
    values[bright:] += 3.0
    time = np.tile(np.linspace(-30.0, 70.0, 64, dtype=np.float32), (n, 1))
    bump = 20.0 * np.exp(-0.5 * ((time - 20.0 * (target == II)[:, None]) / 10.0) ** 2)
    sd = np.repeat(rng.uniform(0.5, 6.0, size=(n, 1, 1)), 2, axis=1) * np.ones((1, 1, 64))
    mean = bump[:, None] + sd * rng.normal(size=(n, 2, 64))
    names = ("duration", "rise_20_g")
    ids, no_points = np.array([f"{i:04}" for i in range(n)]), np.full((n, 1280), np.nan, np.float32)
    return Labelled(ids, names, values, target, time, mean.astype(np.float32), sd.astype(np.float32), no_points, target.astype(str))


def objects_of_kinds() -> Labelled:
    """300 objects in six bands with all features of that set: 80 of each of three classes, 60 of a fourth that is unlike them."""
    rng = np.random.default_rng(5)
    kinds = np.repeat(np.arange(4), [80, 80, 80, 60])
    names = tuple(f.name for f in LSST_UGRIZY.features if f.group not in ("limits", "context"))
    values = rng.normal(size=(300, len(names))).astype(np.float32)
    values += 3.0 * np.eye(4, len(names), dtype=np.float32)[kinds] + np.where(kinds == 3, 2.0, 0.0)[:, None].astype(np.float32)
    time = np.tile(np.linspace(-30.0, 70.0, 64, dtype=np.float32), (300, 1))
    mean = (np.exp(-0.5 * ((time - 15.0 * kinds[:, None]) / 8.0) ** 2)[:, None] + 0.1 * rng.normal(size=(300, 6, 64))).astype(np.float32)
    target = np.array([CLASS_NAMES.index(name) for name in ("SNIa", "SNII", "AGN", "Kilonova")])[kinds]
    ids, no_points = np.array([f"{i:04}" for i in range(300)]), np.full((300, 1280), np.nan, np.float32)
    return Labelled(ids, names, values, target, time, mean, np.full_like(mean, 0.1), no_points, target.astype(str))


def a_study(directory, of: Labelled | None = None, epochs: int = 1, bright: int = 60) -> Study:
    of = of or objects(bright=bright)
    return Study(of, np.arange(len(of.target)) < bright, directory, "deeprubin-study --study any", "0" * 40, epochs=epochs)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Few samples and members; scikit-learn's threads wait for each other in a busy loop, which takes minutes on a machine with other work."""
    monkeypatch.setattr(studies, "N_SAMPLES", 20)
    monkeypatch.setattr(bayesian_study, "MEMBERS", 2)
    monkeypatch.setattr(bayesian_study, "N_DRAWS", 3)
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("of", [sigma_study, bayesian_study, shift_study])
def test_a_study_tells_all_and_makes_no_fit_twice(of, tmp_path):
    first = of.run(a_study(tmp_path), [1, 2])
    places = sorted((tmp_path / "networks").glob("*.safetensors"))
    before = [place.stat().st_mtime_ns for place in places]
    places[0].unlink()  # as after a crash
    again = of.run(a_study(tmp_path), [1, 2])
    assert [place.stat().st_mtime_ns == then for place, then in zip(places, before, strict=True)] == [False] + [True] * (len(places) - 1)
    assert again["rows"] == first["rows"] == json.loads((tmp_path / f"study-{first['study']}.json").read_text())["rows"]
    assert set(first) >= ORIGIN and first["seeds"] == [1, 2] and first["objects"] == N
    names = [row["name"] for row in first["rows"]]
    assert len(set(names)) == len(names)
    for row in first["rows"]:
        scores = [score for name, score in row.items() if name != "name"]
        assert scores and all(set(score) == NUMBER for score in scores)
        assert all(score["low"] is None or score["low"] <= score["high"] for score in scores)


def test_no_object_trains_and_is_judged(tmp_path):
    study = a_study(tmp_path)
    for one, other in (sigma_study.split(study), shift_study.halves(study)):
        assert not set(one) & set(other) and len(set(one)) == len(one)
    adapting, judged = shift_study.halves(study)
    assert not study.spectroscopic[np.concatenate([adapting, judged])].any() and len(adapting) + len(judged) == N - 60


def test_a_blind_twin_does_not_know_the_errors_and_the_network_does(tmp_path):
    made = objects()
    other = replace(made, grid_sd=made.grid_sd * np.float32(3.0))
    rows = np.arange(N // 2), np.arange(N // 2, N)

    def judged(of, variant):
        network, plan, held = sigma_study.trained(a_study(tmp_path / of.sha256, of), variant, rows[0], 1)
        return sigma_study.drawn_logits(network, plan, variant.rows(a_study(tmp_path, of))[0].take(rows[1]))

    for variant in sigma_study.VARIANTS:
        same = np.array_equal(judged(made, variant), judged(other, variant))
        assert same == (variant.errors == "none"), variant
    blind, aware = (variant.rows(a_study(tmp_path))[0] for variant in (sigma_study.BLIND["curve"], sigma_study.VARIANTS[0]))
    assert not channels(blind)[:, 2:4].any() and channels(aware)[:, 2:4].any()
    np.testing.assert_array_equal(channels(blind)[:, :2], channels(aware)[:, :2])


def test_twins_have_the_same_parameters_and_budget(tmp_path):
    study = a_study(tmp_path)
    rows = np.arange(N // 2)
    for reads in ("curve", "both"):
        (blind, of_blind, _), (aware, of_aware, _) = (
            sigma_study.trained(study, sigma_study.Variant(reads, errors), rows, 1) for errors in ("none", "measured")
        )
        assert sum(p.numel() for p in blind.parameters()) == sum(p.numel() for p in aware.parameters())
        assert (of_blind.epochs, of_blind.n_rows, of_blind.seed) == (of_aware.epochs, of_aware.n_rows, of_aware.seed)


def test_draws_after_the_body_are_those_of_the_network(tmp_path):
    study, rows = a_study(tmp_path), np.arange(N // 2)
    network, plan, _ = sigma_study.trained(study, bayesian_study.READS, rows, 1)
    given = bayesian_study.READS.rows(study)[0]
    whole = bayesian_study.dropout_draws(
        network, torch.from_numpy(channels(given)), torch.from_numpy(plan.scaler.scaled(given.values)), n_draws=3
    )
    body = studies.body(network, plan, given)
    np.testing.assert_allclose(
        bayesian_study.dropout_draws(bayesian_study.AfterBody(network), body, body[:, :0], n_draws=3), whole, rtol=1e-4
    )


def test_scores_of_draws_are_what_they_say():
    draws = np.array([[[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.5, 0.5]], [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.2, 0.8]]])
    target = np.array([0, 0, 1, 0])
    found = bayesian_study.scores_of(of_draws(draws), target, np.arange(4))
    p = draws.mean(axis=0)
    assert found["accuracy"] == 0.5 and found["accuracy_certain_half"] == 1.0 and found["auroc_total"] == 1.0
    assert found["auroc_epistemic"] == 1.0, "the two wrong ones are those on which the draws disagree"
    assert found["brier"] == pytest.approx(2.0 * np.mean((1.0 - p[np.arange(4), target]) ** 2))


def test_statistics_of_each_domain_undo_a_shift_of_all_its_features(tmp_path):
    study = a_study(tmp_path)
    domains = shift_study.domains_of(study, *shift_study.halves(study), None)
    moved = replace(domains.source, values=2.0 * domains.source.values + 5.0)
    here, there = (FeatureScaler.fit(rows.values, domains.names).scaled(rows.values) for rows in (domains.source, moved))
    np.testing.assert_allclose(here, there, atol=1e-5)
    unmoved, followed = (
        shift_study.outcome(study, replace(domains, target=moved, judged=judged), method, 1).probabilities
        for method, judged in (("source", domains.source), ("adabn", moved))
    )
    np.testing.assert_allclose(unmoved, followed, atol=1e-5)


def test_statistics_of_the_target_close_a_gap_that_moved_features_made(tmp_path):
    made = objects(480, bright=160)
    nothing = np.ones_like(made.grid_mean)  # only the features tell the classes apart
    study = Study(replace(made, grid_mean=nothing, grid_sd=nothing), np.arange(480) < 160, tmp_path, "any", "any", epochs=8)
    adapting, judged = shift_study.halves(study)
    domains = shift_study.domains_of(study, adapting, judged, None)
    right, distance = {}, {}
    for method in ("source", "adabn"):
        found = shift_study.outcome(study, domains, method, 1)
        right[method] = (found.probabilities.argmax(axis=1) == study.target()[judged]).mean()
        distance[method] = shift_study.a_distance(*found.hidden)
    assert right["source"] < 0.85 and right["adabn"] > 0.92
    assert distance["adabn"] < 0.6 < 1.5 < distance["source"]


def test_labels_of_the_target_change_nothing_but_the_oracle(tmp_path):
    made = objects()
    study = a_study(tmp_path / "true", made)
    adapting, judged = shift_study.halves(study)
    wrong = made.target.copy()
    wrong[adapting] = IA + II - wrong[adapting]
    other = a_study(tmp_path / "wrong", replace(made, target=wrong))
    for method in shift_study.OF_SOURCE:
        first, second = (
            shift_study.outcome(of, shift_study.domains_of(of, adapting, judged, None), method, 1).probabilities for of in (study, other)
        )
        np.testing.assert_array_equal(first, second, err_msg=method)
    first, second = (
        shift_study.oracle(of, shift_study.domains_of(of, adapting, judged, None), adapting, 1).probabilities for of in (study, other)
    )
    assert not np.array_equal(first, second)


def test_copies_train_with_the_source_alone(tmp_path):
    made = objects()
    copies = replace(objects(50, seed=2), object_id=np.array([f"{i:04}/copy-1" for i in range(50)]))
    study = replace(a_study(tmp_path, made), copies=copies)
    adapting, judged = shift_study.halves(study)
    plain, more = (shift_study.domains_of(study, adapting, judged, of) for of in (None, copies))
    assert len(more.source) == len(plain.source) + 50 == len(more.label)
    np.testing.assert_array_equal(more.target.values, plain.target.values)
    assert "coral, with copies" in [row["name"] for row in shift_study.run(study, [1])["rows"]]


def test_a_gap_is_closed_by_a_half_half_way():
    assert shift_study.gap_closed(0.75, 0.5, 1.0) == 0.5 and shift_study.gap_closed(0.5, 0.5, 1.0) == 0.0
    assert np.isnan(shift_study.gap_closed(0.5, 0.5, 0.5))


def test_domains_that_are_one_have_no_distance_and_others_two():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 4))
    assert shift_study.a_distance(x[:200], x[200:]) < 0.4
    assert shift_study.a_distance(x[:200], x[200:] + 20.0) > 1.95


def test_a_summary_has_an_interval_that_holds_the_truth_and_ratios_of_means():
    values = np.random.default_rng(4).normal(3.0, 1.0, size=(2, 500))
    found = summarised(
        [lambda rows, v=v: {"mean": float(v[rows].mean())} for v in values], 500, lambda means: {"double": 2.0 * means["mean"]}
    )
    assert found["mean"]["low"] < 3.0 < found["mean"]["high"] and found["double"]["mean"] == pytest.approx(
        2.0 * found["mean"]["mean"], abs=1e-4
    )
    assert summarised([lambda rows: {"one": 1.0}], 5)["one"] == {"mean": 1.0, "sd_of_seeds": None, "low": 1.0, "high": 1.0}


def test_light_curves_alone_teach_a_network_to_rebuild_what_is_hidden(tmp_path):
    made = objects()
    study = a_study(tmp_path, made)
    rows, names = study.rows(), made.model_names()
    plan = study.plan(rows, names, 1)
    torch.manual_seed(1)
    network = network_of(plan.shape)
    heads = [parameter.clone() for parameter in network.classes.parameters()]

    def lost() -> float:
        batch = next(in_memory(rows, study.target(), replace(plan, batch_size=N))(0, 0))
        given = Preparation(plan)(batch, 1_000).given
        with torch.inference_mode():
            _, mean, log_sd = network.encoded(given.curve)
            return float(reconstruction_loss(mean, log_sd, given.mean, given.sd, given.hidden).mean())

    before = lost()
    learn_curves(plan, network, rows)
    assert lost() < before - 0.2
    assert all(torch.equal(one, other) for one, other in zip(heads, network.classes.parameters(), strict=True)), "no class was looked at"


def test_sets_from_copies_hold_the_truth_of_the_others_as_often_as_promised_and_fits_are_kept(tmp_path):
    made = objects(900, bright=300)
    made = replace(
        made, values=np.random.default_rng(5).normal(size=made.values.shape).astype(np.float32) + 1.5 * (made.target == II)[:, None]
    )
    parents = made.take(np.arange(300))
    noise = 0.05 * np.random.default_rng(6).normal(size=(1200, 2)).astype(np.float32)
    copies = parents.take(np.repeat(np.arange(300), 4))
    copies = replace(copies, values=copies.values + noise, object_id=np.array([f"{i // 4:04}/copy-{i % 4}" for i in range(1200)]))
    study = replace(a_study(tmp_path, made), spectroscopic=np.arange(900) < 300, copies=copies)
    first, by_one, second = coverage_study.run(study, [1, 2])["rows"]
    assert 0.85 < first["coverage"]["mean"] < 0.97 and first["set_size"]["mean"] < 1.5
    assert second["accuracy"]["mean"] == pytest.approx(first["accuracy"]["mean"], abs=0.06), "copies of a held parent flatter nobody"
    places = sorted((tmp_path / "coverage").glob("*.npz"))
    before = [place.stat().st_mtime_ns for place in places]
    assert coverage_study.run(study, [1, 2])["rows"] == [first, by_one, second] and [place.stat().st_mtime_ns for place in places] == before
    with pytest.raises(NoInputError, match="run augment"):
        coverage_study.run(replace(study, copies=None), [1])


def test_a_held_out_class_is_ranked_above_the_others_and_no_fit_is_made_twice(tmp_path, monkeypatch):
    """Three classes whose bumps lie apart, and one that no model is trained on, whose features lie elsewhere."""
    made = objects_of_kinds()
    monkeypatch.setattr(held_out_study, "EPOCHS", 3)
    study = a_study(tmp_path, made)
    held = {"Kilonova": made.target == CLASS_NAMES.index("Kilonova")}
    first = held_out_study.run(study, [1], held)
    (place,) = (tmp_path / "held-out").glob("*.npz")
    before = place.stat().st_mtime_ns
    again = held_out_study.run(a_study(tmp_path, made), [1], held)
    assert place.stat().st_mtime_ns == before and again["rows"] == first["rows"] and first["held"] == {"Kilonova": 60}
    rows = {row["name"]: row for row in first["rows"]}
    assert set(rows) == {*held_out_study.METHODS, "score less feature_isolation", "score less entropy"}
    assert rows["score"]["Kilonova"]["mean"] > 0.9 and 0.0 <= rows["score"]["mean_recall_5"]["mean"] <= 1.0
    with np.load(place) as kept:
        assert len(set(kept["row"])) == len(kept["row"]) and kept["is_held"].sum() == 60


def test_of_supernovae_ibc_are_held_out_by_class_and_iin_by_what_the_source_calls_them(tmp_path, monkeypatch):
    made = objects_of_kinds()
    words = np.where(np.arange(300) % 3 == 0, "IIn", "IIP")
    target = np.where(made.target == CLASS_NAMES.index("Kilonova"), CLASS_NAMES.index("SNIbc"), made.target)
    asked = {}
    monkeypatch.setattr(held_out_study, "run", lambda study, seeds, held, name: asked.update(held))
    held_out_study.run_on_supernovae(a_study(tmp_path, replace(made, target=target, label=words)), [1])
    assert asked["SNIbc"].sum() == 60 and not asked["SNIbc"][:240].any()
    assert np.array_equal(asked["SNIIn"], words == "IIn")


def test_recall_counts_those_of_the_kind_within_the_first_of_a_night():
    usual = np.arange(990.0)
    best, worst = (held_out_study._recalls(np.concatenate([usual, np.full(10, at)]), np.arange(1000) >= 990) for at in (2000.0, -1.0))
    assert best == {"recall_1": 1.0, "recall_5": 1.0} and worst == {"recall_1": 0.0, "recall_5": 0.0}
    middle = held_out_study._recalls(np.concatenate([usual, np.full(10, 960.5)]), np.arange(1000) >= 990)
    assert middle == {"recall_1": 0.0, "recall_5": 1.0}
