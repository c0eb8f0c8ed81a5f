"""A published model judged on a set of labelled light curves: what of the set is judged, and all that is said of it.

    DIR/predictions.parquet          object_id, p_<class> of every class, truth, snr, magnitude, n_points, outside_training_range: whole curves
    DIR/early_predictions.parquet    object_id, cut, p_<class>, truth: curves cut short
    DIR/objects.parquet              object_id, status (judged, abstained, excluded), reason: every listed object
    DIR/metrics.json                 everything on the page

The Kaggle-weighted log-loss (PLAsTiCC team 2018, arXiv:1810.00001; `metrics.kaggle_log_loss`):

    L = sum_j w_j mean_{i of class j} (-ln p_ij) / sum_j w_j,   w_j = 2 for classes 15 (TDE) and 64 (Kilonova), else 1, over the classes that are there
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from deeprubin_spark import __version__
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.early_cuts import CUT_NAMES, DAYS, EPOCHS
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.surveys import is_simulated
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.tables import Warehouse
from deeprubin_spark.training import evaluation_leaks as leaks
from deeprubin_spark.training import evaluation_numbers as numbers
from deeprubin_spark.training.evaluation_numbers import Judged, Told
from deeprubin_spark.training.evaluation_rows import PROBABILITIES, feature_values, listed, predictions
from deeprubin_spark.training.export import write_last

METRICS = "metrics.json"
TRAINED_IT = "trained or calibrated the model"
_FACTS = ("snr", "magnitude", "n_points")


@dataclass(frozen=True)
class Subject:
    """What is judged on what: the model, the objects it knows, the set's label source, and what is told of the set (path, layout, sha256)."""

    model: PublishedModel
    trained: frozenset[str]
    label_source: str
    told: Mapping[str, Any]
    command: str


def in_own_warehouse(run: Run, directory: Path) -> Run:
    """The run with a warehouse below `directory`: an evaluation replaces whole surveys, and must not do so where training sets are."""
    place = run.settings.warehouse.model_copy(update={"path": str(directory / "warehouse"), "catalog": ""})
    settings = run.settings.model_copy(update={"warehouse": place})
    return replace(run, settings=settings, warehouse=Warehouse(run.session, place), inputs={}, outputs={})


def evaluate(run: Run, subject: Subject, objects: DataFrame, compared: Mapping[str, int], directory: Path) -> None:
    """Judge the model on the run's survey, whose features are in its warehouse, and write the files above.

    objects : object_id of the listed ones      compared : counts of the step that checked the cut curves.
    NoInputError where no object can be judged.
    """
    every = ledger(listed(run, objects, subject.label_source), subject.trained)
    made = predictions(run, subject.model)
    whole = judged_of(every, made[made["cut"] == ""])
    if not len(whole):
        raise NoInputError(f"survey {run.survey}: expected objects to judge, found none among {len(every):,}: {counts_of(every)}")
    cuts = {name: judged_of(every, made[made["cut"] == name]) for name in CUT_NAMES}
    found = {
        "command": subject.command,
        "code_version": __version__,
        "model": _told_of_model(subject),
        "data": {
            **subject.told,
            "survey": run.survey,
            "simulated": None if run.survey.startswith("external") else is_simulated(run.survey),
        },
        "counts": counts_of(every),
        "classes": _classes(whole),
        **_numbers(whole, cuts, every, made),
        "leak_tests": _leak_tests(run, subject, every, whole, compared),
    }
    _write(directory, every, whole, cuts, found)
    run.counts.update(
        listed=len(every), **{status: int((every["status"] == status).sum()) for status in ("judged", "abstained", "excluded")}
    )


def read(directory: Path) -> Told:
    """The metrics that `evaluate` wrote."""
    found: Told = json.loads((directory / METRICS).read_text())
    return found


def ledger(every: pd.DataFrame, trained: frozenset[str]) -> pd.DataFrame:
    """`evaluation_rows.listed` rows with what becomes of each object: fit (their `status`), status (judged, abstained, excluded) and reason ('' if judged).

    Excluded is what must or can not be judged: training objects, and objects without a class of ours. Abstained is what the model has nothing to go by for.
    """
    fit = every["status"].astype(object).where(every["status"].notna(), "no_light_curve")
    conditions = {
        ("excluded", TRAINED_IT): every.index.isin(sorted(trained)),
        ("excluded", "no label"): every["label"].isna(),
        ("excluded", "label outside the taxonomy"): every["class"].isna(),
        **{("abstained", name): fit == name for name in sorted(set(fit)) if name != "ok"},
    }
    status, reason = np.full(len(every), "judged", object), np.full(len(every), "", object)
    for (which, why), is_so in reversed(conditions.items()):  # the first that holds is the last to be written
        status[np.asarray(is_so, bool)], reason[np.asarray(is_so, bool)] = which, why
    return every.assign(fit=fit, status=status, reason=reason)


def counts_of(every: pd.DataFrame) -> Told:
    """How many of the listed are judged, abstained and excluded, which add up to them; the latter two by reason."""
    found: Told = {"listed": len(every), "judged": int((every["status"] == "judged").sum())}
    for status in ("abstained", "excluded"):
        rows = every[every["status"] == status]
        found[status] = {"total": len(rows), "reasons": {str(k): int(n) for k, n in rows["reason"].value_counts().sort_index().items()}}
    return found


def judged_of(every: pd.DataFrame, made: pd.DataFrame) -> Judged:
    """The predictions of curves whose fit went well, of objects that are not excluded, with truth and facts."""
    ok = made[made["status"] == "ok"]
    rows = ok.merge(every[every["status"] != "excluded"][["class", *_FACTS]], left_on="parent", right_index=True).sort_values("parent")
    places = {name: i for i, name in enumerate(CLASS_NAMES)}
    snr, magnitude, n_points = (rows[name].to_numpy(np.float64, na_value=np.nan) for name in _FACTS)
    return Judged(
        rows["parent"].to_numpy(str),
        rows[list(PROBABILITIES)].to_numpy(np.float64).reshape(-1, len(CLASS_NAMES)),
        np.array([places[name] for name in rows["class"]], np.int64),
        snr,
        magnitude,
        n_points,
        rows["outside_training_range"].to_numpy(bool),
    )


def lines(found: Mapping[str, Any]) -> list[str]:
    """The result for a terminal."""
    counts, headline = found["counts"], found["headline"]
    told = [
        f"  {found['model']['version']} on {found['data']['survey']}: {counts['listed']:,} listed = {counts['judged']:,} judged + "
        f"{counts['abstained']['total']:,} abstained + {counts['excluded']['total']:,} excluded"
    ]
    for name, one in headline.items():
        told.append(f"    {name:<18} {one['value']:.4f}" + (f"   [{one['low']:.4f}, {one['high']:.4f}]" if one["low"] is not None else ""))
    told += [f"    leak test {test['name']}: {test['verdict']}: {test['detail']}" for test in found["leak_tests"]]
    return told


def _numbers(whole: Judged, cuts: Mapping[str, Judged], every: pd.DataFrame, made: pd.DataFrame) -> Told:
    headline, of_class = numbers.scores(whole)
    n_open = int((every["status"] != "excluded").sum())
    early: list[Told] = [{"cut": f"d{days}", "days": days, **numbers.early(cuts[f"d{days}"])} for days in DAYS]
    early.append({"cut": "all", "days": None, **numbers.early(whole)})
    by_epochs: list[Told] = [{"cut": f"n{n}", "epochs": n, **numbers.early(cuts[f"n{n}"])} for n in EPOCHS]
    outside = whole.is_outside
    return {
        "headline": headline,
        "per_class": of_class,
        "confusion": {
            **{f"n{n}": {**numbers.confusion_of(cuts[f"n{n}"]), "n_objects": n_open} for n in EPOCHS},
            "all": {**numbers.confusion_of(whole), "n_objects": n_open},
        },
        "early": [{**one, "not_judged": _not_judged(every, made, one["cut"])} for one in early],
        "early_epochs": [{**one, "not_judged": _not_judged(every, made, one["cut"])} for one in by_epochs],
        "reliability": numbers.reliabilities(whole),
        "conformal": numbers.conformal(whole),
        "abstention": numbers.abstention(whole),
        "by_magnitude": numbers.by_quantity(whole, whole.magnitude),
        "by_points": numbers.by_quantity(whole, whole.n_points),
        "by_snr": numbers.by_quantity(whole, whole.snr),
        "outside_training_range": {
            "n": int(outside.sum()),
            "accuracy": numbers.accuracy_of(whole.take(outside)),
            "accuracy_of_others": numbers.accuracy_of(whole.take(~outside)),
        },
    }


def _not_judged(every: pd.DataFrame, made: pd.DataFrame, cut: str) -> dict[str, int]:
    """Why objects that are not excluded have no prediction at a cut; `fewer_epochs`: no such cut, for want of nights with a detection."""
    here = made[made["cut"] == ("" if cut == "all" else cut)].set_index("parent")["status"]
    missing = "no_light_curve" if cut == "all" else "no_detection" if cut.startswith("d") else "fewer_epochs"
    status = here.reindex(every.index[every["status"] != "excluded"]).fillna(missing)
    return {str(name): int(n) for name, n in status[status != "ok"].value_counts().sort_index().items()}


def _leak_tests(run: Run, subject: Subject, every: pd.DataFrame, whole: Judged, compared: Mapping[str, int]) -> list[Told]:
    ra, dec = (every[name].reindex(whole.object_id).to_numpy(np.float64, na_value=np.nan) for name in ("ra", "dec"))
    model, trained = subject.model, subject.trained
    judged_values = feature_values(run, model, frozenset(whole.object_id.tolist()))
    trained_values = feature_values(run, model, trained)
    return [
        leaks.permuted_labels(whole),
        leaks.id_and_place(whole, ra, dec, model.features, rule_of(run.survey).feature_set),
        leaks.early_features(compared),
        leaks.disjoint(whole.object_id.tolist(), trained),
        leaks.adversarial(judged_values, trained_values),
    ]


def _told_of_model(subject: Subject) -> Told:
    manifest = subject.model.manifest
    return {
        "version": subject.model.version,
        "feature_set": manifest["feature_set"],
        "published_at": manifest.get("published_at"),
        "training_data": manifest["training"].get("data"),
        "training_objects": len(manifest["training"]["object_ids"]),
    }


def _classes(whole: Judged) -> Told:
    n = np.bincount(whole.target, minlength=len(CLASS_NAMES))
    there = {name: int(n[i]) for i, name in enumerate(CLASS_NAMES) if n[i]}
    return {"there": there, "absent": [name for name in CLASS_NAMES if name not in there]}


def _write(directory: Path, every: pd.DataFrame, whole: Judged, cuts: Mapping[str, Judged], found: Told) -> None:
    """The tables, then the metrics: where they are, all is."""
    directory.mkdir(parents=True, exist_ok=True)
    facts = {name: pa.array(getattr(whole, name), from_pandas=True) for name in _FACTS} | {
        "outside_training_range": pa.array(whole.is_outside)
    }
    pq.write_table(pa.table({**_columns(whole), **facts}), directory / "predictions.parquet")
    early = [pa.table({**_columns(judged), "cut": pa.array([name] * len(judged), pa.string())}) for name, judged in cuts.items()]
    pq.write_table(pa.concat_tables(early), directory / "early_predictions.parquet")
    told = {"object_id": pa.array(every.index, pa.string()), **{name: pa.array(every[name], pa.string()) for name in ("status", "reason")}}
    pq.write_table(pa.table(told), directory / "objects.parquet")
    write_last(directory / METRICS, json.dumps(found, indent=1, allow_nan=False) + "\n")


def _columns(judged: Judged) -> dict[str, pa.Array]:
    probabilities = dict(zip(PROBABILITIES, map(pa.array, judged.probabilities.T), strict=True))
    truth = pa.array(np.array(CLASS_NAMES)[judged.target].tolist(), pa.string())
    return {"object_id": pa.array(judged.object_id.tolist(), pa.string()), **probabilities, "truth": truth}
