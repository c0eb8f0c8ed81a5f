"""What an evaluation says, on cases whose answers are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from deeprubin_spark.kernels.feature_catalogue import LSST_UGRIZY, ZTF_GR
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training import evaluation, evaluation_leaks, evaluation_numbers
from deeprubin_spark.training.evaluation_numbers import Judged
from deeprubin_spark.training.evaluation_rows import PROBABILITIES
from deeprubin_spark.training.metrics import by_class

N_CLASSES = len(CLASS_NAMES)


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(evaluation_numbers, "N_SAMPLES", 60)
    monkeypatch.setattr(evaluation_leaks, "N_REFITS", 6)
    monkeypatch.setattr(evaluation_leaks, "N_PERMUTATIONS", 60)


IA, TDE = CLASS_NAMES.index("SNIa"), CLASS_NAMES.index("TDE")


def judged_of(probabilities, target, **more) -> Judged:
    n = len(target)
    ids = np.array([f"object-{i}" for i in range(n)])
    facts = {"snr": np.arange(n, dtype=float), "magnitude": np.full(n, 20.0), "n_points": np.full(n, 9.0), "is_outside": np.zeros(n, bool)}
    return Judged(**{"object_id": ids, "probabilities": np.asarray(probabilities, float), "target": np.asarray(target), **facts, **more})


def right(target, sure: float = 0.9):
    """Probabilities `sure` of the true class, the rest shared."""
    made = np.full((len(target), N_CLASSES), (1.0 - sure) / (N_CLASSES - 1))
    made[np.arange(len(target)), target] = sure
    return made


def simulated(n: int, seed: int = 0) -> Judged:
    """Truths drawn from the probabilities: calibrated by construction."""
    rng = np.random.default_rng(seed)
    raised = rng.dirichlet(np.full(N_CLASSES, 0.3), n)
    return judged_of(raised, np.array([rng.choice(N_CLASSES, p=row) for row in raised]))


@pytest.fixture(scope="module")
def calibrated():
    return simulated(1500)


def test_numbers_of_classes_are_those_of_scikit_learn_and_lie_in_their_intervals(calibrated):
    headline, classes = evaluation_numbers.scores(calibrated)
    expected = by_class(calibrated.probabilities, calibrated.target, CLASS_NAMES)
    assert list(classes) == list(expected)
    for name, one in classes.items():
        for which in ("precision", "recall", "f1", "auc", "log_loss"):
            assert one[which]["value"] == pytest.approx(expected[name][which], abs=1e-6)
            assert one[which]["low"] < one[which]["value"] < one[which]["high"]
    assert headline["ece"]["low"] is None and headline["macro_auc"]["low"] < headline["macro_auc"]["value"] < headline["macro_auc"]["high"]


def test_a_class_without_objects_is_in_no_table_and_no_mean():
    judged = judged_of(right([IA] * 6 + [TDE] * 4), [IA] * 6 + [TDE] * 4)
    headline, classes = evaluation_numbers.scores(judged)
    assert set(classes) == {"SNIa", "TDE"} and headline["macro_f1"]["value"] == 1.0
    assert set(evaluation_numbers.confusion_of(judged)["rows"]) == {"SNIa", "TDE"}
    assert evaluation_numbers.confusion_of(judged)["rows"]["TDE"][TDE] == 4


def test_purity_and_completeness_of_ia_by_hand():
    """Three Ia of which two are called so, and one TDE that is called Ia too: two of three that are called Ia are, two of three Ia are found."""
    judged = judged_of(right([IA, IA, TDE, IA]), [IA, IA, IA, TDE])
    told = evaluation_numbers.early(judged)
    assert told["ia_purity"]["value"] == told["ia_completeness"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert (told["n_judged"], told["n_ia"]) == (4, 3)
    assert evaluation_numbers.early(judged.take(np.zeros(0, int))) == {"n_judged": 0}
    none = evaluation_numbers.early(judged_of(right([TDE, TDE]), [TDE, TDE]))
    assert none["ia_purity"]["value"] is None and none["ia_completeness"]["value"] is None, "nothing was called Ia, and nothing was"


def test_calibrated_probabilities_are_covered_as_promised_and_lie_on_the_diagonal(calibrated):
    told = evaluation_numbers.conformal(calibrated)
    everything = told["groups"][0]["coverage"]
    assert everything["low"] < 0.9 + 0.02 and everything["high"] > 0.9
    assert told["n_calibration"] + told["groups"][0]["n"] == 1500
    assert [group["name"] for group in told["groups"]] == ["all", "low S/N", "middle S/N", "high S/N"]
    assert sum(group["n"] for group in told["groups"][1:]) == told["groups"][0]["n"]
    reliability = evaluation_numbers.reliabilities(calibrated)
    assert set(reliability) == {"all", *CLASS_NAMES} and reliability["all"]["error"] < 0.05
    of_ia = reliability["SNIa"]
    inside = [low <= p <= high for p, low, high in zip(of_ia["confidence"], of_ia["low"], of_ia["high"], strict=True)]
    assert np.mean(inside) >= 0.8


def test_halves_go_by_the_id_and_not_by_the_order(calibrated):
    order = np.random.default_rng(1).permutation(1500)
    assert evaluation_numbers.conformal(calibrated.take(order)) == evaluation_numbers.conformal(calibrated)
    assert evaluation_numbers.conformal(calibrated.take(np.arange(1))) == {}


def test_keeping_the_confident_raises_accuracy_to_that_of_all(calibrated):
    told = evaluation_numbers.abstention(calibrated)
    assert [one["share"] for one in told] == pytest.approx(np.arange(1, 21) / 20)
    assert told[0]["accuracy"] > told[9]["accuracy"] > told[-1]["accuracy"]
    assert told[-1]["n"] == 1500 and told[-1]["accuracy"] == pytest.approx(evaluation_numbers.accuracy_of(calibrated)["value"])


def test_groups_by_a_quantity_hold_equally_many_and_count_what_lacks_it(calibrated):
    magnitude = np.where(np.arange(1500) % 10 == 0, np.nan, np.linspace(15.0, 25.0, 1500))
    told = evaluation_numbers.by_quantity(calibrated, magnitude)
    assert told["n_unknown"] == 150 and [group["n"] for group in told["groups"]] == [270] * 5
    assert [a["to"] < b["from"] for a, b in zip(told["groups"], told["groups"][1:], strict=False)] == [True] * 4
    assert evaluation_numbers.by_quantity(calibrated, np.full(1500, np.nan))["groups"] == []


def listed() -> pd.DataFrame:
    """Objects a to f: one of training, one without label, one of another class, one without curve, one without fit, one to judge."""
    rows = {
        "a": ("90", "SNIa", "ok"),
        "b": (None, None, "ok"),
        "c": ("99", None, "ok"),
        "d": ("90", "SNIa", None),
        "e": ("15", "TDE", "too_few_points"),
        "f": ("15", "TDE", "ok"),
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["label", "class", "status"])
    return frame.assign(snr=9.0, magnitude=[20.0, 20.0, 20.0, None, 20.0, 20.0], n_points=5, ra=1.0, dec=2.0)


def test_every_object_has_one_fate_and_the_first_reason_counts():
    every = evaluation.ledger(listed(), frozenset("a"))
    assert every["reason"].tolist() == [
        *("trained or calibrated the model", "no label", "label outside the taxonomy", "no_light_curve", "too_few_points", "")
    ]
    counts = evaluation.counts_of(every)
    assert (counts["listed"], counts["judged"], counts["abstained"]["total"], counts["excluded"]["total"]) == (6, 1, 2, 3)
    trained = evaluation.ledger(listed(), frozenset("abcdef"))
    assert evaluation.counts_of(trained)["excluded"] == {"total": 6, "reasons": {"trained or calibrated the model": 6}}


def test_a_prediction_of_an_excluded_object_is_not_judged():
    every = evaluation.ledger(listed(), frozenset("a"))
    made = pd.DataFrame(right([IA, TDE, IA, TDE]), columns=list(PROBABILITIES))
    made = made.assign(parent=["f", "a", "e", "b"], status=["ok", "ok", "too_few_points", "ok"], outside_training_range=False)
    found = evaluation.judged_of(every, made)
    assert found.object_id.tolist() == ["f"] and found.target.tolist() == [TDE] and found.probabilities.shape == (1, N_CLASSES)
    assert len(evaluation.judged_of(every, made.head(0))) == 0


def test_permuted_labels_give_chance_and_good_ones_more(calibrated):
    assert evaluation_leaks.permuted_labels(calibrated)["verdict"] == "passed"
    useless = dataclasses.replace(calibrated, target=np.random.default_rng(3).permutation(calibrated.target))
    assert evaluation_leaks.permuted_labels(useless)["verdict"] == "failed", "a model that knows nothing is no better than a permutation"


def test_a_place_that_tells_the_class_is_found_and_fails_a_model_that_reads_it():
    rng = np.random.default_rng(0)
    target = np.repeat([IA, TDE], 60)
    judged = judged_of(right(target), target)
    judged = dataclasses.replace(judged, object_id=rng.permutation(judged.object_id))
    anywhere = evaluation_leaks.id_and_place(judged, rng.uniform(0, 360, 120), rng.uniform(-30, 30, 120), ("gp_timescale",), ZTF_GR)
    assert anywhere["verdict"] == "passed"
    apart = np.where(target == IA, 10.0, 200.0)
    of_place = next(feature.name for feature in LSST_UGRIZY.of_group("context"))
    told = evaluation_leaks.id_and_place(judged, apart, np.zeros(120), ("gp_timescale",), LSST_UGRIZY)
    failed = evaluation_leaks.id_and_place(judged, apart, np.zeros(120), ("gp_timescale", of_place), LSST_UGRIZY)
    assert (told["verdict"], failed["verdict"]) == ("told", "failed") and failed["features_of_place"] == [of_place]


def test_a_common_object_fails():
    assert evaluation_leaks.disjoint(["a", "b"], ["c"])["verdict"] == "passed"
    found = evaluation_leaks.disjoint(["a", "b"], ["b"])
    assert found["verdict"] == "failed" and found["common"] == 1


def test_training_objects_of_another_kind_are_told_apart():
    rng = np.random.default_rng(0)
    one, same, other = rng.normal(size=(3, 200, 4))
    assert evaluation_leaks.adversarial(one, same)["auc"] == pytest.approx(0.5, abs=0.1)
    assert evaluation_leaks.adversarial(one, other + 2.0)["auc"] > 0.9
    assert evaluation_leaks.adversarial(one, same[:3])["verdict"] == "not done"


def test_an_early_feature_that_differs_fails():
    assert evaluation_leaks.early_features({"cuts_compared": 9, "cuts_that_differ": 0})["verdict"] == "passed"
    assert evaluation_leaks.early_features({"cuts_compared": 9, "cuts_that_differ": 1})["verdict"] == "failed"
    assert evaluation_leaks.early_features({"cuts_compared": 0, "cuts_that_differ": 0})["verdict"] == "not done"
