"""The sections of the page of results that tell of studies of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deeprubin_spark.reporting.markdown import cell, table

TITLES: Mapping[str, str] = {
    "sigma": "Does the network gain by knowing the errors?",
    "bayesian": "Ways to say what the network does not know",
    "shift": "From supernovae with a spectrum to all others",
    "coverage": "Sets of classes for supernovae too faint for a spectrum",
    "injections": "Anomalies: shapes injected into real light curves",
    "held-out": "Anomalies: a class that no part of the model has seen",
    "held-out-spcc": "Anomalies: a type of supernova that no part of the model has seen",
    "active": "Anomalies: what a person's votes are worth",
}
TOLD: Mapping[str, str] = {
    "sigma": "A blind twin has the same layers, epochs, seeds and objects; all errors are zero to it: none among its channels, no redrawing within them, "
    "none in the reconstruction loss. The gain is the twin's log-loss less the network's own, on the same objects; *faint* is a signal to noise below "
    "{faint:g}. Confidence is the mean highest probability, with the errors as measured and inflated. {train:,} objects train, {judged:,} are judged, "
    "{judged_faint:,} of them faint. No redshift.",
    "bayesian": "The same network each time, on light curve and features, without temperature. AUROC: how well epistemic or total entropy tells "
    "misclassified objects from the others. The certain half is that of lower total entropy. {train:,} objects train, {judged:,} are judged; {members} "
    "members, {draws} draws. No redshift.",
    "shift": "{source:,} objects with a spectrum and their classes train; {target:,} others adapt, without their classes; {judged:,} more are judged. The "
    "oracle is trained on the {target:,} with their classes. Gap closed: (m - m_source) / (m_oracle - m_source). A-distance: 2 (1 - 2 eps), eps the error "
    "of a classifier that tells the domains apart by the hidden values. The networks have layer norm: `adabn` fits the scaler of the features on each "
    "domain apart. `label shift` estimates the class shares of the others and weighs by them. `pre-trained` has first learnt to rebuild hidden stretches "
    "of the others' light curves. {copies:,} copies on nights of the others train with their parents where a line says so. No redshift, no temperature, "
    "nothing chosen by a class of the target.",
    "coverage": "Boosted trees of {train:,} objects with a spectrum and their {copies:,} copies on nights of the {judged:,} others, which are judged. A set "
    "holds every class whose conformal score is below a threshold that copies set whose parents did not train (three folds by parent), weighted by the class "
    "shares among the others, which are estimated without labels, each third of signal to noise by its own copies; "
    "promised: {coverage:.0%}. Some sets are empty; in `scores` they hold the most probable class too. In the second line one threshold holds for all; the "
    "last is the parent-grouped cross-validation on the copies.",
    "injections": "Real ZTF light curves (supernovae with a spectrum, survey `ztf_labelled`, which no part of the model has seen) keep their times, bands, "
    "errors and noise, and get a shape of so many median errors added: found is what scores above all but the first 1 % of {usual:,} usual ones, of which the "
    "chances of the components are too. {injected:,} curves get each shape. A *fake* is a light curve of the SNAD team's list, real or made up, judged as it "
    "is: `reached` is the share of usual curves that score as high.",
    "held-out": "Of each held-out class and seed a model is trained and finished as a published one, on four fifths of the other objects, at most {train:,}; "
    "judged are the rest and all of the held-out class. AUROC of each class; mean AUROC, average precision, and recall among the first 1 % and 5 % of a night "
    "on which one object in a hundred is of the class (20 random nights). `score` is that of `anomalies`; `feature_isolation` the isolation forest of all "
    "features; `entropy` that of the class probabilities; the others are the score's components. Which components to join was decided by seed 1 with "
    "other classes held out (AGN, EB, RRL, SNIa-91bg, SNIax, SLSN-I: mean AUROC 0.74 without `forecast` and `physical`, 0.77 where the two share a vote, as "
    "they do, 0.79 with a vote each). A vote each was tried on the classes of this table, too: mean AUROC 0.869, 0.073 above the entropy, and 48 % instead of "
    "38 % of the shapes of 10 errors.",
    "held-out-spcc": "The same for supernovae of types Ibc and IIn, each unknown where all others are known, IIn among the type II that it is a kind of: with "
    "photometric redshift of the host, at most {train:,} objects train.",
    "active": "A simulated expert's interest is one class, one object in a hundred, drawn anew for each seed. The expert votes, truly, {votes} times on "
    "whatever comes first: purity is the share of these that are of the class, the mean of the classes {kinds}; the intervals are over samples of the "
    "classes. `static` reads an order that no vote changes: the isolation forest of all features, the entropy of class probabilities by a forest that has "
    "seen the other classes alone, or the score of `anomalies` by models that have seen neither the class nor the objects of the night. `votes` starts from "
    "that order and follows the votes as `rerank_anomalies` does; `PineForest` and `AAD` are coniferest's, with its own choices. There are but 19 Mira "
    "stars, at most 59 objects of another class. How `rerank_anomalies` weighs votes was decided by seeds 1 and 2.",
}
SETS: Mapping[str, str] = {"active": "PLAsTiCC", "held-out": "PLAsTiCC", "held-out-spcc": "SPCC", "injections": "ZTF, real light curves"}
NAMES: Mapping[str, str] = {
    "log_loss": "log-loss",
    "log_loss_faint": "log-loss, faint",
    "gain_share": "gain [share]",
    "gain_faint": "gain, faint",
    "gain_share_faint": "gain, faint [share]",
    "brier": "Brier score",
    "ece": "ECE-15",
    "auc": "AUC(Ia)",
    "auroc_epistemic": "AUROC, epistemic",
    "auroc_total": "AUROC, total",
    "accuracy_certain_half": "accuracy, certain half",
    "gap_auc": "gap closed, AUC",
    "gap_accuracy": "gap closed, accuracy",
    "a_distance": "A-distance",
    **{f"errors_{times}": f"{times} errors" for times in (1, 2, 5, 10, 20)},
    "reached": "reached by usual",
    "mean_auroc": "mean AUROC",
    "mean_average_precision": "mean average precision",
    "mean_recall_1": "recall, first 1 %",
    "mean_recall_5": "recall, first 5 %",
    "times_static": "times static",
    **{f"confidence_x{times}": f"confidence, errors x{times}" for times in (1, 2, 4)},
}


def study_section(result: Mapping[str, Any]) -> str:
    """A study's table, as Markdown."""
    name, rows = result["study"], result["rows"]
    columns = list(dict.fromkeys(of for row in rows for of in row if of != "name"))
    return "\n".join(
        [
            f"## {TITLES[name]}",
            "",
            f"{SETS.get(name, 'SPCC, one split')}, {result['objects']:,} objects. " + TOLD[name].format(**result),
            "",
            *table(
                ["", *(NAMES.get(of, of.replace("_", " ")) for of in columns)],
                ([cell(row["name"]), *(_number(row.get(of)) for of in columns)] for row in rows),
            ),
            "",
            _origin(result),
            "",
        ]
    )


def _number(score: Mapping[str, float | None] | None) -> str:
    """Mean, interval, standard deviation between seeds, as far as there are."""
    if score is None or score["mean"] is None:
        return ""
    interval = "" if score["low"] is None or score["high"] is None else f" [{score['low']:.3f}, {score['high']:.3f}]"
    spread = "" if score["sd_of_seeds"] is None else f" ± {score['sd_of_seeds']:.3f}"
    return f"{score['mean']:.3f}{interval}{spread}"


def _origin(result: Mapping[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    note = f" {result['note']}." if result.get("note") else ""
    return (
        f"`{result['command']}`, commit {result['commit'][:12]}, data {result['data_sha256'][:12]}, seeds {seeds}; all fits "
        f"{result['core_seconds'] / 60.0:.1f} core-min, the longest {result['longest_fit_core_seconds'] / 60.0:.1f}.{note}"
    )
