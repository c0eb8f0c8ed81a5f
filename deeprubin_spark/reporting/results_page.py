"""The page of benchmarks, made from the results that jobs wrote, and from nothing else.

python -m deeprubin_spark.reporting.results_page docs/results > docs/benchmarks.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprubin_spark.reporting.markdown import cell, table
from deeprubin_spark.reporting.search_sections import search_section
from deeprubin_spark.reporting.study_sections import study_section

TITLES: Mapping[str, str] = {
    "plasticc": "PLAsTiCC, 14 classes",
    "spcc-biased": "SPCC, type Ia against the rest, trained on the objects with a spectrum",
    "spcc-random": "SPCC, type Ia against the rest, trained on a random share",
}
NAMES: Mapping[str, str] = {
    "kaggle_log_loss": "weighted log-loss",
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "ece": "ECE-15",
    "auc": "AUC",
    "figure_of_merit": "figure of merit",
}
LOWER_IS_BETTER = ("kaggle_log_loss", "log_loss", "ece")

_PREFACE = """\
# Benchmarks

Generated from the files in `docs/results`, each written by the command it names; do not edit. To rebuild it:

    python -m deeprubin_spark.reporting.results_page docs/results > docs/benchmarks.md

All data here are simulated, but where a section says otherwise. A number is the mean over the seeds, in brackets its 95 % interval over samples of the
objects with replacement, then the standard deviation between seeds. The best mean of a column is **bold**. No object is judged by a model that it, or a copy
of it, has trained.
"""


def results_page(directory: Path) -> str:
    """All of it, as Markdown. Files of other results are left out."""
    found = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    benchmarks = [result for result in found if "set" in result]
    sections = [_section(name, [result for result in benchmarks if result["set"] == name]) for name in TITLES]
    of_studies = [study_section(result) for result in found if "study" in result]
    of_searches = [search_section(result) for result in found if "search" in result]
    others = [_answers(result) for result in found if "answers" in result] + [_scaling(result) for result in found if "scaling" in result]
    return "\n".join([_PREFACE, *(section for section in [*sections, *of_studies, *of_searches, *others] if section)])


def _answers(result: Mapping[str, Any]) -> str:
    """What a query on the tables answers after the jobs named."""
    columns = list(result["rows"][0])
    answers = table([name.replace("_", " ") for name in columns], ([cell(str(row[name])) for name in columns] for row in result["rows"]))
    block = ["```", *result["command"], f'deeprubin sql "{result["sql"]}"', "```"]
    origin = f"- commit {result['commit'][:12]}, data {result['data_sha256'][:12]}"
    return "\n".join([f"## {result['answers']}", "", result["told"], "", *answers, "", *block, "", origin, ""])


def _scaling(result: Mapping[str, Any]) -> str:
    """How much sooner two processes are done than one."""
    told = [
        "## One process and two",
        "",
        f"The {result['scaling']} on {result['objects']:,} light curves, {result['epochs']} epochs, batches of {result['batch_size']} a rank, one thread "
        f"each, on {result['machine']}. Two processes are {result['times']:.2f} times as fast; the losses of one that holds both shards differ by "
        f"{result['largest_relative_difference_of_losses']:.0e} at most.",
        "",
        *table(
            ("processes", "s an epoch", "light curves a second"),
            ((str(row["processes"]), f"{row['seconds_an_epoch']:.1f}", f"{row['light_curves_a_second']:,}") for row in result["rows"]),
        ),
        "",
        f"- `{result['command']}`, commit {result['commit'][:12]}, data {result['data_sha256'][:12]}",
        "",
    ]
    return "\n".join(told)


def _section(name: str, results: Sequence[Mapping[str, Any]]) -> str:
    """A set's results by all models."""
    if not results:
        return ""
    told = [f"## {TITLES[name]}", "", f"{results[0]['objects']:,} objects. Published: {cell(results[0]['published'])}.", ""]
    for group in dict.fromkeys(group for result in results for group in result["scores"]):
        told += [*_of_group(group, [result for result in results if group in result["scores"]]), ""]
    told += [line for result in results for line in _paired(result)]
    return "\n".join([*told, *(_origin(result) for result in results), ""])


def _of_group(group: str, results: Sequence[Mapping[str, Any]]) -> list[str]:
    scores = {result["model"]: {k: v for k, v in result["scores"][group].items() if isinstance(v, dict)} for result in results}
    columns = list(dict.fromkeys(name for of_model in scores.values() for name in of_model))
    judged = results[0]["scores"][group]["judged"]
    best = {name: (min if name in LOWER_IS_BETTER else max)(of_model[name]["mean"] for of_model in scores.values()) for name in columns}
    head = [f"{group}, {judged:,} judged", *(NAMES.get(name, name.replace("_", " ")) for name in columns)]
    return table(head, ([model, *(_number(of_model[name], best[name]) for name in columns)] for model, of_model in scores.items()))


def _number(score: Mapping[str, Any], best: float) -> str:
    mean = f"{score['mean']:.3f}"
    spread = "" if score["sd_of_seeds"] is None else f" ± {score['sd_of_seeds']:.3f}"
    return f"{f'**{mean}**' if score['mean'] == best else mean} [{score['low']:.3f}, {score['high']:.3f}]{spread}"


def _paired(result: Mapping[str, Any]) -> list[str]:
    """Differences to the baseline on the same objects."""
    told = []
    for other, of_groups in result.get("against", {}).items():
        for group, of_scores in of_groups.items():
            each = ", ".join(
                f"{NAMES.get(name, name)} {d['mean']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]" for name, d in of_scores.items()
            )
            told.append(f"- `{result['model']}` less `{other}` on the same objects, {group}: {each}")
    return told


def _origin(result: Mapping[str, Any]) -> str:
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    return (
        f"- `{result['model']}`: `{result['command']}`, commit {result['commit'][:12]}, data {result['data_sha256'][:12]}, seeds {seeds}, "
        f"{result['seconds'] / 60.0:.0f} min"
    )


if __name__ == "__main__":
    sys.stdout.write(results_page(Path(sys.argv[1])))
