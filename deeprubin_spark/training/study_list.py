"""Every study by the name that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from deeprubin_spark.training import active_study, bayesian_study, coverage_study, held_out_study, shift_study, sigma_study
from deeprubin_spark.training.studies import Study


class Listed(NamedTuple):
    """What a study runs, the protocol whose objects it is of, and the surveys of copies of them that it needs."""

    run: Callable[[Study, Sequence[int]], dict[str, Any]]
    protocol: str = "spcc-biased"
    copies: tuple[str, ...] = ()


STUDIES: Mapping[str, Listed] = {
    "sigma": Listed(sigma_study.run),
    "bayesian": Listed(bayesian_study.run),
    "shift": Listed(shift_study.run, copies=("spcc_transductive",)),
    "coverage": Listed(coverage_study.run, copies=("spcc_transductive",)),
    "held_out": Listed(held_out_study.run, "plasticc"),
    "held_out_spcc": Listed(held_out_study.run_on_supernovae, "spcc-random"),
    "active": Listed(active_study.run, "plasticc"),
}
