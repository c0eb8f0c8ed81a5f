"""The bundled catalogues: galaxies near us, stars with planets, strange objects, explosions and how near they are lethal. Read once a process."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deeprubin_spark.kernels.host_association import Coincidences, Galaxies
from deeprubin_spark.kernels.sterilisation import Hazards, energy_of
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES

_DATA = "data"  # beside this module; a zip of the package has it too


@dataclass(frozen=True)
class Kinds:
    """K kinds of explosions: names, the classes of our taxonomy that are one, and what is known of how far they reach.

    lethal_distance : (K,) [pc]      basis : published, derived or assumed
    """

    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    lethal_distance: NDArray[np.float64]
    hazards: Hazards
    basis: tuple[str, ...]
    references: tuple[str, ...]

    def at(self, name: str) -> int:
        """Position of a kind. KeyError for a name that is none."""
        if name not in self.names:
            raise KeyError(f"hazards.csv: expected one of {', '.join(self.names)}, found {name!r}")
        return self.names.index(name)

    def of_class(self, name: str) -> int:
        """Position of the kind that a class of the taxonomy is; -1 where it is no explosion."""
        return next((i for i, classes in enumerate(self.classes) if name in classes), -1)


@functools.cache
def kinds() -> Kinds:
    """`hazards.csv`. ValueError for a class that the taxonomy does not have."""
    rows = table("hazards.csv")
    classes = tuple(tuple(text.split()) for text in rows["classes"].fillna(""))
    unknown = {name for names in classes for name in names} - set(CLASS_NAMES)
    if unknown:
        raise ValueError(f"hazards.csv: classes of the taxonomy expected, found {', '.join(sorted(unknown))}")
    distance = rows["lethal_distance_pc"].to_numpy(np.float64)
    hazards = Hazards(energy_of(distance), rows["energy_dex"].to_numpy(np.float64))
    return Kinds(tuple(rows["kind"]), classes, distance, hazards, tuple(rows["basis"]), tuple(rows["reference"]))


@functools.cache
def galaxies() -> Galaxies:
    """`galaxies.parquet` with its tree."""
    rows = pq.read_table(io.BytesIO(_bytes("galaxies.parquet")))
    numbers = (rows[name].to_numpy().astype(np.float64) for name in ("ra", "dec", "luminosity_distance", "angular_distance"))
    return Galaxies(rows["name"].to_numpy(), *numbers)


@functools.cache
def coincidences() -> Coincidences:
    """`galaxy_coincidences.csv`."""
    rows = table("galaxy_coincidences.csv")
    return Coincidences(rows["q"].to_numpy(np.float64), rows["share"].to_numpy(np.float64))


@functools.cache
def strange_objects() -> pa.Table:
    """`strange_objects.parquet`: catalogue, name, ra, dec [deg], type."""
    return pq.read_table(io.BytesIO(_bytes("strange_objects.parquet")))


def table(name: str) -> pd.DataFrame:
    """A bundled CSV file."""
    return pd.read_csv(io.BytesIO(_bytes(name)))


def _bytes(name: str) -> bytes:
    return resources.files("deeprubin_spark.searches").joinpath(_DATA, name).read_bytes()
