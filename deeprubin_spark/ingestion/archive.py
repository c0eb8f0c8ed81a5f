"""What is to be read: the archives, folders and single packets that hold the nights asked for.

The public ZTF archive has one `ztf_public_YYYYMMDD.tar.gz` a night (UT date), with one `{candid}.avro` an alert, and MD5SUMS beside them.
A night that came as a stream may lie in `ztf_payloads_YYYYMMDD*.parquet`: see `payloads`.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from deeprubin_spark.errors import ConfigError, NoInputError

_DATED = re.compile(r"^ztf_[A-Za-z]+_(\d{4})(\d{2})(\d{2})(?!\d).*\.(tar|tar\.gz|tgz)$")
_PAYLOADS = re.compile(r"^ztf_payloads_(\d{4})(\d{2})(\d{2})(?!\d).*\.parquet$")
_CHECKSUM = re.compile(r"^([0-9a-fA-F]{32})\s+\*?(?:.*/)?([^/]+)$")
_FILES_A_SOURCE = 500  # single packets that one task reads
_SMALLEST_PART = 16 << 20  # [byte] of a file of payloads that a task of its own is worth


@dataclass(frozen=True)
class Source:
    """One tar archive or file of payloads (`files` empty), or some .avro files of one folder.

    `ordinal` orders sources, so that of two copies of an alert the same one wins on every run. `name` is what the tables call it.
    `night` is the night its name promises, None where it promises none. `md5` is what MD5SUMS says of it, '' if nothing.
    `groups`: of a file of payloads that several tasks share, the first row group of this part and the one after its last.
    """

    path: str
    name: str
    night: dt.date | None
    n_bytes: int
    md5: str = ""
    files: tuple[str, ...] = ()
    ordinal: int = 0
    groups: tuple[int, int] | None = None

    @property
    def has_payloads(self) -> bool:
        """Whether it is a Parquet file of bare payloads."""
        return self.path.endswith(".parquet")


def sources(paths: Sequence[str], nights: Sequence[dt.date]) -> tuple[Source, ...]:
    """Everything in `paths` that can hold packets of `nights`, in a fixed order, each file once.

    A path is a tar archive, an .avro file, or a folder: of a folder its dated archives of these nights and its .avro files. A dated archive
    of another night is left out; sources without a date are always in. NoInputError where a path is missing or nothing is left.
    """
    wanted = frozenset(nights)
    archives: dict[Path, Source] = {}
    packets: dict[Path, int] = {}
    for path in paths:
        for file in _files(path):
            if file.suffix == ".avro":
                packets[file.resolve()] = file.stat().st_size
            elif (night := night_of_name(file.name)) is None or night in wanted:
                archives[file.resolve()] = Source(str(file.resolve()), file.name, night, file.stat().st_size)
    found = [*_with_checksums(archives), *_folders(packets)]
    if not found:
        raise NoInputError(_nothing(paths, nights))
    found.sort(key=lambda source: (source.name, source.path, source.files))
    return tuple(replace(source, ordinal=i) for i, source in enumerate(found))


def night_of_name(name: str) -> dt.date | None:
    """Night in the name of an archive, or None. `ztf_public_20181129.tar.gz` -> 2018-11-29."""
    match = _DATED.match(name) or _PAYLOADS.match(name)
    if match is None:
        return None
    try:
        return dt.date(*(int(part) for part in match.groups()[:3]))
    except ValueError:  # eight digits that are no date
        return None


def in_tasks(found: Sequence[Source], n_tasks: int) -> tuple[tuple[Source, ...], ...]:
    """The sources shared out to at most `n_tasks` tasks of about equal bytes, the largest source first; large files of payloads in parts."""
    share = max(sum(source.n_bytes for source in found) // n_tasks, _SMALLEST_PART)
    parts = [part for source in found for part in (_parts(source, share) if source.has_payloads else [source])]
    tasks: list[list[Source]] = [[] for _ in range(min(n_tasks, len(parts)))]
    loads = [0] * len(tasks)
    for source in sorted(parts, key=lambda source: (-source.n_bytes, source.ordinal, source.groups or ())):
        lightest = loads.index(min(loads))
        tasks[lightest].append(source)
        loads[lightest] += source.n_bytes + 1
    return tuple(tuple(task) for task in tasks)


def _parts(source: Source, share: int) -> list[Source]:
    """A file of payloads in parts of whole row groups, of about `share` bytes; whole where it cannot be read, for its task to say why."""
    try:
        footer = pq.read_metadata(source.path)
    except (pa.ArrowException, OSError):
        return [source]
    parts, begin, n_bytes = [], 0, 0
    for group in range(footer.num_row_groups):
        n_bytes += sum(footer.row_group(group).column(i).total_compressed_size for i in range(footer.num_columns))
        if n_bytes >= share or group == footer.num_row_groups - 1:
            parts.append(replace(source, groups=(begin, group + 1), n_bytes=n_bytes))
            begin, n_bytes = group + 1, 0
    return parts or [source]


def _files(path: str) -> list[Path]:
    """The file itself, or a folder's dated archives and .avro files."""
    if "://" in path:
        raise ConfigError(f"ingest.archive: expected a path that every node can read, found {path}; mount it, or copy the night first")
    place = Path(path).expanduser()
    if not place.exists():
        raise NoInputError(f"{place}: no such archive or folder; --archive or the setting ingest.archive says where the alerts are")
    if not os.access(place, os.R_OK):
        raise NoInputError(f"{place}: may not be read by this user; change its permissions, or give another --archive")
    if not place.is_dir():
        return [place]
    return [file for file in place.iterdir() if file.is_file() and (file.suffix == ".avro" or night_of_name(file.name))]


def _with_checksums(archives: dict[Path, Source]) -> Iterable[Source]:
    sums = {folder: _md5sums(folder / "MD5SUMS") for folder in {path.parent for path in archives}}
    return [replace(source, md5=sums[path.parent].get(path.name, "")) for path, source in archives.items()]


def _md5sums(path: Path) -> dict[str, str]:
    """File name -> MD5 in lower case, of a file as md5sum writes it; lines of any other form are not checksums."""
    if not path.is_file():
        return {}
    lines = (_CHECKSUM.match(line.strip()) for line in path.read_text(errors="replace").splitlines())
    return {line.group(2): line.group(1).lower() for line in lines if line}


def _folders(packets: dict[Path, int]) -> Iterable[Source]:
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted(packets):
        by_folder.setdefault(path.parent, []).append(path)
    for folder, files in by_folder.items():
        for start in range(0, len(files), _FILES_A_SOURCE):
            part = files[start : start + _FILES_A_SOURCE]
            yield Source(str(folder), folder.name, None, sum(packets[f] for f in part), files=tuple(f.name for f in part))


def _nothing(paths: Sequence[str], nights: Sequence[dt.date]) -> str:
    span = f"{nights[0]}" if len(nights) == 1 else f"{nights[0]} to {nights[-1]}"
    return (
        f"no archive of {span} in {', '.join(paths)}; expected ztf_public_{nights[0]:%Y%m%d}.tar.gz or .avro files; "
        "--archive or the setting ingest.archive says where the alerts are"
    )
