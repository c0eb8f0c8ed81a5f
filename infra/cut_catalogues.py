"""Make the bundled catalogues of the searches from their sources: galaxies near us, stars that have planets, objects known to be strange.

    python infra/cut_catalogues.py mangrove_filtered.parquet open_exoplanet_catalogue.csv labels deeprubin_spark/searches/data

labels: the folder with snad_anomaly_catalogue.csv, known_tde.parquet, blazars_3hsp.csv and symbiotic_and_cataclysmic.parquet.

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
from deeprubin_spark.kernels.separations import pairs_within

NEAREST_MPC, FARTHEST_MPC = 0.5, 80.0  # nearer than 0.5 Mpc the source lists globular clusters of our Galaxy too
_SNAD_TYPES = {"PSN": "possible supernova", "PNV": "possible nova", "AGN": "active nucleus"}
_STAR_TYPES = {"symbiotic_stars": "symbiotic star", "cataclysmic_variables": "cataclysmic variable"}


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


def strange_objects(directory: str) -> pd.DataFrame:
    """Catalogue, name, ra, dec [deg, J2000], type: what others know to be strange, by catalogue and right ascension."""
    folder = Path(directory)
    snad = pd.read_csv(folder / "snad_anomaly_catalogue.csv")
    tde = pd.read_parquet(folder / "known_tde.parquet")
    blazars = pd.read_csv(folder / "blazars_3hsp.csv").rename(columns=str.strip)
    unquoted = {name: blazars[name].str.strip('" ') for name in ("3HSP Source name", "R.A.", "Dec")}
    parts = [
        _listed("SNAD", snad["Name"], snad["R.A."], snad["Dec."], snad["Type"].str.strip().map(_SNAD_TYPES)),
        _listed("TDE", tde["name"], tde["ra"], tde["dec"], "tidal disruption event"),
        _listed("3HSP", unquoted["3HSP Source name"], *_degrees(unquoted["R.A."], unquoted["Dec"]), "blazar"),
        _stars(pd.read_parquet(folder / "symbiotic_and_cataclysmic.parquet")),
    ]
    rows = pd.concat(parts, ignore_index=True).round({"ra": 6, "dec": 6})
    once = [_each_once(part) for _, part in rows.groupby("catalogue")]
    return pd.concat(once).sort_values(["catalogue", "ra", "dec"])


def _each_once(rows: pd.DataFrame) -> pd.DataFrame:
    """Entries of one catalogue without those that lie within 3 arcsec of another; a name goes before a place as name."""
    is_place = rows["name"].str.contains(r"J\d{4}")
    rows = rows.iloc[np.lexsort((rows["name"], is_place))]
    place = rows["ra"], rows["dec"]
    first, second, _ = pairs_within(*place, *place, 3.0)
    return rows.drop(index=rows.index[np.unique(second[second > first])])


def _stars(rows: pd.DataFrame) -> pd.DataFrame:
    """Symbiotic and cataclysmic stars whose place is known to an arcsecond; one that has only its constellation for a name gets its place beside it."""
    ra, dec = rows["RA(J2000)"].str.strip(), rows["DEC(J2000)"].str.strip()
    is_exact = ra.str.fullmatch(r"\d+ \d+ \d+\.\d+") & dec.str.fullmatch(r"[+-]?\d+ \d+ \d+(\.\d*)?")
    rows, ra, dec = rows[is_exact], ra[is_exact], dec[is_exact]
    place = " J" + ra.str.replace(" ", "") + dec.str.replace(" ", "").str.rstrip(".")
    name = rows["Name"].str.strip()
    name = name.where(name.str.len() > 3, name + place)
    kind = rows["source"].map(_STAR_TYPES)
    return _listed(kind.str.split().str[0], name, *_degrees(ra, dec), kind)


def _listed(catalogue: pd.Series | str, name: pd.Series, ra: pd.Series, dec: pd.Series, kind: pd.Series | str) -> pd.DataFrame:
    return pd.DataFrame({"catalogue": catalogue, "name": name, "ra": ra, "dec": dec, "type": kind})


def _degrees(ra: pd.Series, dec: pd.Series) -> tuple[pd.Series, pd.Series]:
    return 15.0 * ra.map(sexagesimal), dec.map(sexagesimal)


def main(galaxy_path: str, planet_path: str, labels: str, directory: str) -> None:
    """Write galaxies.parquet, galaxy_coincidences.csv, planet_hosts.csv and strange_objects.parquet into `directory`."""
    known = pa.Table.from_pandas(strange_objects(labels), preserve_index=False).replace_schema_metadata(None)
    pq.write_table(known, Path(directory) / "strange_objects.parquet", compression="zstd", compression_level=19)
    near = galaxies(galaxy_path)
    coincidences(near).to_csv(Path(directory) / "galaxy_coincidences.csv", index=False, float_format="%.5g")
    table = pa.Table.from_pandas(near, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, Path(directory) / "galaxies.parquet", compression="zstd", compression_level=19)
    planet_hosts(planet_path).to_csv(Path(directory) / "planet_hosts.csv", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
