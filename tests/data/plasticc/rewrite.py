"""Make the carried part of PLAsTiCC from the training set as Parquet: every object, bands g and r, only the columns that may be used.

python rewrite.py train_lightcurves.parquet train_metadata.parquet DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(light_curves: str, metadata: str, directory: str) -> None:
    """Write DIRECTORY/light_curves.parquet and DIRECTORY/metadata.parquet."""
    curves = pq.read_table(light_curves, columns=["object_id", "mjd", "passband", "flux", "flux_err"])
    curves = curves.filter(pc.is_in(curves["passband"], pa.array([1, 2], pa.int8()))).replace_schema_metadata(None)
    curves = curves.sort_by([("object_id", "ascending"), ("mjd", "ascending"), ("passband", "ascending")])
    objects = pq.read_table(metadata, columns=["object_id", "ra", "decl", "target"]).replace_schema_metadata(None)
    # Encodings that Spark's vectorised reader knows.
    pq.write_table(
        curves,
        Path(directory) / "light_curves.parquet",
        compression="zstd",
        compression_level=19,
        use_dictionary=["object_id", "passband", "mjd"],
        row_group_size=80_000,
    )
    pq.write_table(objects, Path(directory) / "metadata.parquet", compression="zstd", compression_level=19)


if __name__ == "__main__":
    main(*sys.argv[1:])
