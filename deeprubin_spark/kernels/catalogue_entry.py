"""What the feature catalogue says of one feature."""

from __future__ import annotations

from typing import Literal, NamedTuple

Group = Literal[
    "gp",
    "gp_peak",
    "gp_shape",
    "gp_colour",
    "gp_last",
    "counts",
    "variability",
    "random_walk",
    "scales",
    "pairs",
    "limits",
    "context",
    "parametric",
    "period",
    "host",
]
THIS_PROJECT = "this project"


class Feature(NamedTuple):
    """One number about a light curve.

    `formula` in plain text, symbols as in the docstring of the kernel that computes it      `source` author and year, or "this project"
    `scale_free`: a factor on all fluxes, errors and limits does not change it, so it says nothing of how bright the object is.
    """

    name: str
    unit: str
    doc: str
    formula: str
    source: str
    group: Group
    scale_free: bool


def neighbours(bands: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each band with the next one: what colours and Stetson's indices are made of."""
    return list(zip(bands[:-1], bands[1:], strict=True))
