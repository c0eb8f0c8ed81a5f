"""The page of an evaluation: one HTML file made of the metrics alone, which needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from deeprubin_spark import __version__
from deeprubin_spark.reporting.evaluation_plots import SHARE, Axis, Estimate, Series, chart, diagonal_chart
from deeprubin_spark.reporting.page import environment, series_css, template

NAME = "evaluation.html"
HEADLINE = {
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_auc": "Macro AUC",
    "kaggle_log_loss": "Log-loss, Kaggle-weighted",
    "log_loss": "Log-loss",
    "brier": "Brier score",
    "ece": "ECE-15",
}
LEAKS = {
    "permuted_labels": "Permuted labels give chance",
    "id_and_place": "Id and place alone give chance",
    "early_features": "Early features know no later point",
    "disjoint": "No training object is judged",
    "adversarial": "Do judged objects look like training objects?",
}
_EARLY = {"macro_f1": "macro-F1", "ia_purity": "purity of SN Ia", "ia_completeness": "completeness of SN Ia"}
_WHOLE = 160.0  # [d] where curves of all points stand, after the longest cut, on the axis of days

Told = Mapping[str, Any]


def page(metrics: Told) -> str:
    """The page of `metrics`, as training writes them to metrics.json."""
    return (
        environment()
        .get_template("evaluation.html")
        .render(
            told=metrics,
            css=Markup(template("night.css") + template("evaluation.css")),
            series_css=Markup(series_css()),
            headline=HEADLINE,
            leaks=LEAKS,
            early=early_chart(metrics["early"]),
            early_names=list(_EARLY.values()),
            reliability={name: reliability_chart(name, one) for name, one in metrics["reliability"].items()},
            abstention=abstention_chart(metrics["abstention"]),
            groups=[
                (title, quantity_chart(label, metrics[name]), metrics[name])
                for name, title, label in (
                    ("by_magnitude", "By magnitude", "magnitude at the brightest measurement [AB mag]"),
                    ("by_points", "By number of points", "measurements in the model's bands"),
                    ("by_snr", "By signal-to-noise", "highest signal-to-noise"),
                )
            ],
            confusions=[(f"{n} epochs", metrics["confusion"][f"n{n}"]) for n in (3, 15)] + [("all points", metrics["confusion"]["all"])],
            version=__version__,
        )
    )


def early_chart(early: Sequence[Told]) -> Markup:
    """Macro-F1, purity and completeness by days since the first detection, logarithmic, with their intervals."""
    places = [(one, math.log2(one["days"] or _WHOLE)) for one in early]
    series = [
        Series(title, [_estimate(x, one[name], f"{title}, {_when(one)}") for one, x in places if _is_there(one, name)])
        for name, title in _EARLY.items()
    ]
    ticks = [(x, str(one["days"] or "all")) for one, x in places]
    x = Axis("days since the first detection", (-0.4, math.log2(_WHOLE) + 0.4), ticks)
    return chart(
        "Macro-F1, purity and completeness of type Ia by days since the first detection", x, Axis("", (0.0, 1.0), SHARE), series, 640.0
    )


def reliability_chart(name: str, found: Told) -> Markup:
    """How often it is so, by how probable it was said to be."""
    rows = zip(found["confidence"], found["accuracy"], found["low"], found["high"], found["n_objects"], strict=True)
    points = [Estimate(p, share, low, high, f"said {p:.2f}, was {share:.2f} of {n} objects") for p, share, low, high, n in rows]
    what = "highest probability" if name == "all" else f"probability of {name}"
    x, y = Axis(what, (0.0, 1.0), SHARE), Axis("share that is so", (0.0, 1.0), SHARE)
    return diagonal_chart(f"Reliability: {what}", x, y, [Series(name, points, "points")])


def abstention_chart(found: Sequence[Told]) -> Markup:
    """Accuracy and macro-F1 of the most confident share."""
    names = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
    series = [
        Series(t, [Estimate(o["share"], o[n], None, None, f"{t} {o[n]:.3f} of {o['n']} objects") for o in found]) for n, t in names.items()
    ]
    return chart(
        "Accuracy and macro-F1 by share kept",
        Axis("share kept, most confident first", (0.0, 1.0), SHARE),
        Axis("", (0.0, 1.0), SHARE),
        series,
    )


def quantity_chart(label: str, found: Told) -> Markup:
    """Accuracy in groups of equally many objects, by rank: each group as wide as the others, its ends written below."""
    groups = found["groups"]
    ticks = [(i + 0.5, f"{one['from']:.3g} to {one['to']:.3g}") for i, one in enumerate(groups)]
    accuracy = Series("accuracy", [_estimate(i + 0.5, one["accuracy"], f"accuracy, {one['n']} objects") for i, one in enumerate(groups)])
    f1 = Series(
        "macro-F1", [Estimate(i + 0.5, one["macro_f1"], None, None, f"macro-F1 {one['macro_f1']:.3f}") for i, one in enumerate(groups)]
    )
    x = Axis(label, (0.0, float(max(1, len(groups)))), ticks)
    return chart(f"Accuracy and macro-F1 by {label}", x, Axis("", (0.0, 1.0), SHARE), [accuracy, f1], 560.0)


def _estimate(x: float, one: Told, what: str) -> Estimate:
    return Estimate(x, one["value"], one["low"], one["high"], f"{what}: {_number(one)}")


def _number(one: Told) -> str:
    between = "" if one["low"] is None else f" ({one['low']:.3f} to {one['high']:.3f})"
    return f"{one['value']:.3f}{between}"


def _when(one: Told) -> str:
    return "all points" if one["days"] is None else f"{one['days']} d"


def _is_there(one: Told, name: str) -> bool:
    return bool(one.get(name)) and one[name]["value"] is not None
