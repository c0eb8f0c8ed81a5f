"""Cut the carried objects out of the challenge's two tables.

python cut.py lightcurves.parquet metadata.parquet DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

IN_TEXT = (17, 556, 642, 760, 938, 1049)  # also carried as text files
SPECTROSCOPIC = 3  # of the spectroscopic sample, the first ones
WITH_MISSING = 396420  # has fluxes and errors of -9


def main(light_curves: str, metadata: str, directory: str) -> None:
    """Write DIRECTORY/lightcurves.parquet and DIRECTORY/metadata.parquet."""
    curves, objects = pq.read_table(light_curves), pq.read_table(metadata)
    spectroscopic = objects.filter(pc.not_equal(objects["sntype"], -9)).slice(0, SPECTROSCOPIC)["snid"].to_pylist()
    wanted = pa.array([*IN_TEXT, *spectroscopic, WITH_MISSING], curves.schema.field("snid").type)
    for table, name in ((curves, "lightcurves"), (objects, "metadata")):
        chosen = table.filter(pc.is_in(table["snid"], wanted)).replace_schema_metadata(None)
        pq.write_table(chosen, Path(directory) / f"{name}.parquet", compression="zstd", compression_level=19)


if __name__ == "__main__":
    main(*sys.argv[1:])
