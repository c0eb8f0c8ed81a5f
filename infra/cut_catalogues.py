"""Make the bundled catalogues of the searches from their sources: galaxies near us, and stars that have planets.

    python infra/cut_catalogues.py mangrove_filtered.parquet open_exoplanet_catalogue.csv deeprubin_spark/searches/data

Where the sources come from, and their licences: README.md beside the results.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deeprubin_spark.kernels.host_association import Galaxies, coincidences_of

NEAREST_MPC, FARTHEST_MPC = 0.5, 80.0  # nearer than 0.5 Mpc the source lists globular clusters of our Galaxy too


def galaxies(path: str) -> pd.DataFrame:
    """Name (HyperLEDA, else 2MASS, else missing), ra, dec [deg], luminosity and angular-diameter distance [Mpc], by distance."""
    rows = pd.read_parquet(path)
    rows = rows[(rows["lum_dist"] >= NEAREST_MPC) & (rows["lum_dist"] < FARTHEST_MPC)].sort_values(["lum_dist", "ra"])
    names = rows[["HyperLEDA_name", "2MASS_name"]]
    name = names.where(names != "None").bfill(axis=1).iloc[:, 0]
    numbers = {"ra": "ra", "dec": "dec", "luminosity_distance": "lum_dist", "angular_distance": "ang_dist"}
    return pd.DataFrame({"name": name, **{new: rows[old].astype("float32") for new, old in numbers.items()}})


def planet_hosts(path: str) -> pd.DataFrame:
    """Star, ra, dec [deg, J2000], distance_pc, temperature [K], n_planets: systems with a confirmed planet and a distance, by distance."""
    rows = pd.read_csv(path)
    rows = rows[rows["list"].fillna("").str.startswith("Confirmed") & rows["system_distance"].notna()]
    rows = rows.assign(star=rows["name"].str.replace(r" [b-z]$", "", regex=True))
    place = ["system_rightascension", "system_declination"]
    hosts = rows.groupby(place).agg(
        star=("star", "first"),
        distance_pc=("system_distance", "first"),
        temperature=("hoststar_temperature", "first"),
        n_planets=("star", "size"),
    )
    hosts = hosts.reset_index()
    hosts["ra"], hosts["dec"] = 15.0 * hosts[place[0]].map(sexagesimal), hosts[place[1]].map(sexagesimal)
    return hosts[["star", "ra", "dec", "distance_pc", "temperature", "n_planets"]].sort_values(["distance_pc", "star"]).round(6)


def sexagesimal(text: str) -> float:
    """'-56 40 50.8706' as a number of degrees, or hours."""
    whole, minutes, seconds = text.split()
    size = abs(float(whole)) + float(minutes) / 60.0 + float(seconds) / 3600.0
    return -size if whole.startswith("-") else size


def coincidences(rows: pd.DataFrame) -> pd.DataFrame:
    """How near to a galaxy 400,000 random places are: q, share."""
    numbers = (rows[name].to_numpy(np.float64) for name in ("ra", "dec", "luminosity_distance", "angular_distance"))
    found = coincidences_of(Galaxies(rows["name"].to_numpy(), *numbers), 400_000, seed=1)
    return pd.DataFrame({"q": found.q, "share": found.share})


def main(galaxy_path: str, planet_path: str, directory: str) -> None:
    """Write galaxies.parquet, galaxy_coincidences.csv and planet_hosts.csv into `directory`."""
    near = galaxies(galaxy_path)
    coincidences(near).to_csv(Path(directory) / "galaxy_coincidences.csv", index=False, float_format="%.5g")
    table = pa.Table.from_pandas(near, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, Path(directory) / "galaxies.parquet", compression="zstd", compression_level=19)
    planet_hosts(planet_path).to_csv(Path(directory) / "planet_hosts.csv", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
