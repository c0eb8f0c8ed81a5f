"""Cut a few objects out of ELAsTiCC's alerts: those with the most alerts, and only the columns that are read or are truth.

python cut.py class111.parquet class113.parquet class121.parquet DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

OBJECTS = 3  # of each class
_SOURCE = ("diaObjectId", "filterName", "midPointTai", "psFlux", "psFluxErr")
NESTED = {
    "diaSource": ("diaSourceId", *_SOURCE),
    "prvDiaSources": ("diaSourceId", *_SOURCE),
    "prvDiaForcedSources": ("diaForcedSourceId", *_SOURCE),
    "diaObject": ("diaObjectId", "ra", "decl", "hostgal_zphot", "hostgal_zphot_err", "hostgal_zspec", "mwebv", "z_final"),
}
TRUTH = ("SNID", "GENTYPE", "ZCMB", "ZHELIO", "PEAKMJD", "GALZPHOT", "MU", "SIM_TEMPLATE_INDEX")


def main(*arguments: str) -> None:
    """Write DIRECTORY/<name of each file>."""
    *files, directory = arguments
    for file in files:
        alerts = pq.read_table(file)
        objects = pc.struct_field(alerts["diaSource"], "diaObjectId")
        counts = sorted(((pair["counts"], pair["values"]) for pair in pc.value_counts(objects).to_pylist()), reverse=True)
        wanted = pa.array([number for _, number in counts[:OBJECTS]], pa.int64())
        rows = alerts.filter(pc.is_in(objects, wanted)).select(["alertId", *NESTED, *TRUTH]).to_pylist()
        for row in rows:
            for name, fields in NESTED.items():
                row[name] = _only(row[name], fields)
        pq.write_table(pa.Table.from_pylist(rows), Path(directory) / Path(file).name, compression="zstd", compression_level=19)


def _only(value: object, fields: tuple[str, ...]) -> object:
    if isinstance(value, list):
        return [_only(one, fields) for one in value]
    return {name: value[name] for name in fields} if isinstance(value, dict) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
