"""The classes: PLAsTiCC's fourteen under Transient, Stochastic and Periodic.

Solar-system objects and bogus detections are not classes: gates recognise them before the network is asked.
Codes: PLAsTiCC team 2018 (arXiv:1810.00001), Kessler et al. 2019 (arXiv:1903.11756).
"""

from __future__ import annotations

from typing import NamedTuple

from deeprubin_spark.errors import ContractError


class LeafClass(NamedTuple):
    """A class the network may give: `branch` is Transient, Stochastic or Periodic; `plasticc` its PLAsTiCC target code."""

    name: str
    branch: str
    plasticc: int
    doc: str


BRANCHES: tuple[str, ...] = ("Transient", "Stochastic", "Periodic")

# Stochastic means aperiodic and recurring: AGN vary always, M-dwarfs flare again and again. Microlensing happens once.
CLASSES: tuple[LeafClass, ...] = (
    LeafClass("SNIa", "Transient", 90, "Type Ia supernova"),
    LeafClass("SNIa-91bg", "Transient", 67, "Faint, fast type Ia supernova like SN 1991bg"),
    LeafClass("SNIax", "Transient", 52, "Type Iax supernova"),
    LeafClass("SNII", "Transient", 42, "Type II core-collapse supernova"),
    LeafClass("SNIbc", "Transient", 62, "Type Ib or Ic core-collapse supernova"),
    LeafClass("SLSN-I", "Transient", 95, "Superluminous supernova, type I"),
    LeafClass("TDE", "Transient", 15, "Tidal disruption event"),
    LeafClass("Kilonova", "Transient", 64, "Kilonova"),
    LeafClass("Microlensing", "Transient", 6, "Microlensing by a single lens"),
    LeafClass("AGN", "Stochastic", 88, "Active galactic nucleus"),
    LeafClass("M-dwarf", "Stochastic", 65, "Flaring M dwarf"),
    LeafClass("RRL", "Periodic", 92, "RR Lyrae star"),
    LeafClass("EB", "Periodic", 16, "Eclipsing binary"),
    LeafClass("Mira", "Periodic", 53, "Mira variable"),
)
CLASS_NAMES: tuple[str, ...] = tuple(c.name for c in CLASSES)


def branch_of(name: str) -> str:
    """Branch of a class. ContractError for a name outside the taxonomy."""
    for leaf in CLASSES:
        if leaf.name == name:
            return leaf.branch
    raise ContractError(f"taxonomy: expected one of {', '.join(CLASS_NAMES)}, found {name!r}")


def class_of_plasticc(target: int) -> str:
    """Class of a PLAsTiCC target code. ContractError for a code that is not in the training set."""
    for leaf in CLASSES:
        if leaf.plasticc == target:
            return leaf.name
    raise ContractError(f"taxonomy: no class has PLAsTiCC target {target}; known are {', '.join(str(c.plasticc) for c in CLASSES)}")
