"""Petastorm, and what makes it right on current pyarrow and numpy. The only file that touches it.

Petastorm 0.13.1 was written for a Parquet interface that pyarrow dropped at version 15, and it can lose epochs. `install()` mends both, in
this process only:

1. It gives Petastorm the slice of that interface which `make_batch_reader` uses on a list of files: `pyarrow.filesystem`,
   `pyarrow.hdfs`, `ParquetDataset` with `.pieces`, `ParquetDatasetPiece`; and `np.unicode_`, `np.string_` of numpy 1. Only what
   Petastorm sees is replaced: `pyarrow.parquet` itself stays as it is.
2. Its thread pool asks "is every worker idle?" and only then "has the ventilator handed out everything?". A ventilator that hands out
   all its row groups between the two questions ends the epoch with nothing read, in 1 to 8 % of openings on a busy machine. Asked the
   other way round the answer is right, because a finished ventilator stays finished.

Since such a loss is silent, `read_epoch` also counts what it read. Only training processes import this module: what it does to a process
cannot be undone there. Left out, since nothing here needs it: `make_reader`, partitioned folders, process pools (their children import
Petastorm before any of our code), hdfs://.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem as FsspecLocalFileSystem

from deeprubin_spark.errors import ConfigError, DataGateError

# Versions that tests/unit/test_petastorm_compat.py was run with; a shorter version stands for all that begin with it.
TESTED = {"petastorm": "0.13.1", "pyarrow": "26.0", "numpy": "2.4"}
_READS_PARQUET = ("petastorm.reader", "petastorm.arrow_reader_worker", "petastorm.etl.dataset_metadata")


def install() -> None:
    """Make Petastorm importable and right in this process; a second call does nothing.

    Raises ConfigError where an installed version is not one of TESTED: a shim around other versions could read wrong rows and say nothing.
    """
    check_versions(TESTED, importlib.metadata.version)
    if "pyarrow.filesystem" not in sys.modules:
        _bring_back_old_names()
    old_parquet = _old_parquet()
    for name in _READS_PARQUET:
        vars(importlib.import_module(name))["pq"] = old_parquet
    _ask_the_ventilator_first()


def check_versions(tested: dict[str, str], installed: Callable[[str], str]) -> None:
    """Raise ConfigError unless every distribution in `tested` is installed in a tested version.

    tested: distribution -> version, or the first parts of one.   installed: distribution -> version, as importlib.metadata.version.
    """
    for distribution, wanted in tested.items():
        try:
            found = installed(distribution)
        except importlib.metadata.PackageNotFoundError:
            found = "nothing"
        parts = wanted.split(".")
        if found.split("+")[0].split(".")[: len(parts)] != parts:
            raise ConfigError(
                f"{distribution}: expected {wanted}, which training was tested with, found {found}; `make setup-train` installs it. "
                f"To move on, change TESTED in {__name__} and run the training tests."
            )


def read_epoch(
    files: Sequence[str], columns: Sequence[str], *, rows: int, epoch: int, rank: int = 0, ranks: int = 1
) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """One pass over a rank's share of Parquet files, one row group at a time.

    files: URLs (file:///..., s3://...) of the files, never of a folder: a Delta folder also holds files that are no longer in the table.
    columns: names to read. Lists must have one length per column; they come as (n, length).
    rows: [1] rows this rank must see. Row group i of all files in order belongs to rank i % ranks, in every epoch.
    epoch: 0, 1, ...; sets the order of the row groups, the same in every run.
    Yields {column: (n,) or (n, length) array}; arrays may be read-only.
    Raises DataGateError at the end of the pass if another number of rows was read.
    """
    install()
    from petastorm import make_batch_reader

    seen = 0
    # One reader per epoch: a reader shuffles once and repeats that order. Its seed 0 would mean "no seed". One worker keeps the order.
    reader = make_batch_reader(
        [_decoded(url) for url in files],
        schema_fields=[f"^{re.escape(name)}$" for name in columns],
        seed=epoch + 1,
        shuffle_row_groups=True,
        num_epochs=1,
        cur_shard=rank,
        shard_count=ranks,
        reader_pool_type="thread",
        workers_count=1,
    )
    try:
        for row_group in reader:
            batch: dict[str, np.ndarray[Any, Any]] = row_group._asdict()
            seen += len(batch[columns[0]])
            yield batch
    finally:  # not `with`: leaving that prints a line to standard output
        reader.stop()
        reader.join()
    if seen != rows:
        raise DataGateError(
            f"epoch {epoch}, rank {rank} of {ranks}: expected {rows} rows of {len(files)} files, first {files[0]}, but read {seen}. "
            "The training set changed under the run, or Petastorm lost a row group; export it again and resume from the last checkpoint."
        )


class LocalFileSystem(FsspecLocalFileSystem):
    """Stands where pyarrow.filesystem.LocalFileSystem stood; Petastorm opens, lists and removes with it."""

    protocol = "file"


class HadoopFileSystem:
    """Stands where pyarrow.hdfs.HadoopFileSystem stood, which Petastorm only subclasses."""


class Piece:
    """pyarrow 14's ParquetDatasetPiece: one file, or one row group of it."""

    def __init__(
        self,
        path: str,
        open_file_func: Callable[[str], BinaryIO],
        row_group: int | None = None,
        partition_keys: Iterable[tuple[str, int]] = (),
    ) -> None:
        self.path, self.open_file_func, self.row_group = path, open_file_func, row_group
        self.partition_keys = list(partition_keys)

    def get_metadata(self) -> pq.FileMetaData:
        """The file's footer."""
        with self.open_file_func(self.path) as file:
            return pq.ParquetFile(file).metadata

    def read(self, columns: Iterable[str], partitions: None = None) -> pa.Table:
        """The columns' rows of this piece; `partitions` is always None here, see Dataset."""
        with self.open_file_func(self.path) as file:
            parquet = pq.ParquetFile(file)
            if self.row_group is None:
                return parquet.read(columns=list(columns))
            return parquet.read_row_group(self.row_group, columns=list(columns))


class Dataset:
    """pyarrow 14's ParquetDataset, for a list of files without summary files or partition columns."""

    partitions = metadata = common_metadata = metadata_path = None

    def __init__(
        self,
        path_or_paths: str | Sequence[str],
        filesystem: Any,
        validate_schema: object = None,
        metadata_nthreads: int = 1,
        filters: None = None,
    ) -> None:
        if isinstance(path_or_paths, str) or filters is not None:
            raise ConfigError(
                f"petastorm: expected a list of Parquet files without filters, found {path_or_paths!r}; pass the table's files one by one"
            )
        self.fs, self.paths = filesystem, path_or_paths
        self.pieces = [Piece(path, filesystem.open) for path in path_or_paths]


def _decoded(url: str) -> str:
    """Spark's `inputFiles` writes a space as %20; Petastorm takes a local file's URL literally."""
    return unquote(url) if url.startswith("file:") else url


def _bring_back_old_names() -> None:
    filesystem = types.ModuleType("pyarrow.filesystem")
    hdfs = types.ModuleType("pyarrow.hdfs")
    filesystem.__dict__["LocalFileSystem"] = LocalFileSystem
    hdfs.__dict__["HadoopFileSystem"] = HadoopFileSystem
    sys.modules |= {"pyarrow.filesystem": filesystem, "pyarrow.hdfs": hdfs}
    vars(pa).update(filesystem=filesystem, hdfs=hdfs, LocalFileSystem=LocalFileSystem, localfs=LocalFileSystem())
    vars(np).update(unicode_=np.str_, string_=np.bytes_)


def _old_parquet() -> types.ModuleType:
    """pyarrow.parquet, but for the two classes that changed."""
    module = types.ModuleType("deeprubin_spark.training.petastorm_compat.parquet")
    vars(module).update({name: value for name, value in vars(pq).items() if not name.startswith("__")})
    vars(module).update(ParquetDataset=Dataset, ParquetDatasetPiece=Piece)
    return module


def _ask_the_ventilator_first() -> None:
    pool = importlib.import_module("petastorm.workers_pool.thread_pool").ThreadPool
    all_idle = pool.all_workers_done
    if getattr(all_idle, "asks_the_ventilator_first", False):
        return

    def all_workers_done(self: Any) -> bool:
        finished = self._ventilator is None or self._ventilator.completed()
        return bool(all_idle(self)) and finished

    vars(all_workers_done)["asks_the_ventilator_first"] = True
    pool.all_workers_done = all_workers_done
