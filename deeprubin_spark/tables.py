"""Where the tables are, and the three ways to write them: replace a slice, merge by key, append.

Every write is checked against the contract, is one Delta commit, carries the run's id in the table's history, and on a local warehouse holds
a file lock, because a local directory has no atomic commit between processes.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from delta.exceptions import DeltaConcurrentModificationException
from delta.tables import DeltaTable
from filelock import FileLock, Timeout
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import ConfigError, ContractError, RetryableError
from deeprubin_spark.schemas import TABLES
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.settings import WarehouseSettings

_SAFE = re.compile(r"^[\w.:\-]+$")
_ATTEMPTS = 3
_COMMIT = "[0-9]" * 20 + ".json"  # Delta protocol: delta entries are named by their version, 20 digits
_VERSION_PROPERTY = "deeprubin.contractVersion"
_SKIP_PROPERTY = "delta.dataSkippingStatsColumns"


class Warehouse:
    """The tables of one warehouse, seen through one session."""

    def __init__(self, session: SparkSession, settings: WarehouseSettings) -> None:
        """Resolve the place; ConfigError where a local directory cannot be written."""
        self.session = session
        self._settings = settings
        self._root = "" if settings.catalog else _root(settings.path)
        self._known: set[str] = set()

    @property
    def directory(self) -> Path | None:
        """The local directory of the tables, or None where they are in a catalog or an object store."""
        return None if not self._root or "://" in self._root else Path(self._root)

    def identifier(self, table: Table) -> str:
        """What to write after FROM."""
        return f"{self._settings.catalog}.{table.name}" if self._settings.catalog else f"delta.`{self._root}/{table.name}`"

    def create(self, table: Table) -> None:
        """Make the table, empty, with its comments and checks, if it is not there yet.

        ContractError where a table of another contract version is there.
        """
        if table.name in self._known:
            return
        if self._contract_version(table) is None:
            with self.exclusive(table):
                if self._contract_version(table) is None:
                    self._create(table)
        found = self._contract_version(table)
        if found != str(table.version):
            raise ContractError(
                f"{self.identifier(table)}: expected contract version {table.version}, found {found}; "
                "use the release that wrote it, or another warehouse.path"
            )
        self._known.add(table.name)

    def exists(self, table: Table) -> bool:
        """Whether the table has been made."""
        if self._settings.catalog:
            return self.session.catalog.tableExists(self.identifier(table))
        if self.directory is not None:
            # A creation that was killed leaves the log's directory without a first commit.
            return next((self.directory / table.name / "_delta_log").glob(_COMMIT), None) is not None
        return DeltaTable.isDeltaTable(self.session, f"{self._root}/{table.name}")

    def read(self, table: Table, *, survey: str = "", nights: Sequence[dt.date] | None = None) -> DataFrame:
        """The table's rows, of one survey and some nights if given; an empty frame if the table was never written."""
        self.create(table)
        frame = self._delta(table).toDF()
        if survey and "survey" in table.names:
            frame = frame.where(F.col("survey") == survey)
        if nights is not None:
            frame = frame.where(F.col("night").isin(list(nights)))
        return table.select(frame)

    def replace_slice(self, table: Table, frame: DataFrame, run_id: str, *, nights: Sequence[dt.date] | None, **fixed: str) -> int:
        """Atomically replace the rows of `nights` (None: of all) and of `fixed` column values by `frame`. Returns the new version.

        Delta refuses rows of `frame` that lie outside the slice.
        """
        self.create(table)
        condition = _slice_condition(table, nights, fixed)
        frame = table.select(frame)
        if nights is not None and len(nights) > 1:
            frame = frame.hint("rebalance", *table.partition_by)  # few files a night instead of one for each task and night

        def write() -> None:
            writer = frame.write.format("delta").mode("overwrite").option("replaceWhere", condition).option("userMetadata", run_id)
            self._save(writer, table)

        return self._commit(table, write)

    def merge_by_key(self, table: Table, frame: DataFrame, run_id: str) -> int:
        """Insert the rows of `frame`, or update those whose key is there. Its keys must be unique. Returns the new version."""
        self.create(table)
        source = table.select(frame)
        condition = " AND ".join(f"t.`{k}` <=> s.`{k}`" for k in table.key)

        def write() -> None:
            self.session.conf.set("spark.databricks.delta.commitInfo.userMetadata", run_id)
            try:
                merge = self._delta(table).alias("t").merge(source.alias("s"), condition)
                merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
            finally:
                self.session.conf.unset("spark.databricks.delta.commitInfo.userMetadata")

        return self._commit(table, write)

    def append(self, table: Table, frame: DataFrame, run_id: str) -> int:
        """Add the rows of `frame`. Returns the new version."""
        self.create(table)
        checked = table.select(frame)
        return self._commit(table, lambda: self._save(checked.write.format("delta").mode("append").option("userMetadata", run_id), table))

    def version(self, table: Table) -> int:
        """The table's current Delta version."""
        if self.directory is not None:  # its commits are files; asking Delta for its history costs a Spark job
            return max(int(commit.stem) for commit in (self.directory / table.name / "_delta_log").glob(_COMMIT))
        return int(self._delta(table).history(1).select("version").collect()[0]["version"])  # one row: bounded

    def rows_added(self, table: Table, version: int) -> int | None:
        """How many rows lie in the files that commit `version` added, as Delta's writer counted them file by file; nothing is read again.

        None where the commit is not a local file, or does not say.
        """
        if self.directory is None:
            return None
        lines = (self.directory / table.name / "_delta_log" / f"{version:020}.json").read_text().splitlines()
        added = [json.loads(action["add"].get("stats") or "{}") for action in map(json.loads, lines) if "add" in action]
        return sum(int(file["numRecords"]) for file in added) if all("numRecords" in file for file in added) else None

    def register(self, tables: Sequence[Table] = TABLES) -> None:
        """Make local tables visible to SQL under their bare names (in a catalog they already are), also where another warehouse's were.

        Raises AnalysisException where a table of such a name is not a name for files elsewhere but holds its own: it stays as it is.
        """
        for table in tables:
            self.create(table)
            if not self._settings.catalog:
                catalog = self.session.catalog
                if catalog.tableExists(table.name) and catalog.getTable(table.name).tableType == "EXTERNAL":
                    self.session.sql(f"DROP TABLE `{table.name}`")  # forgets the name; the files stay
                self.session.sql(f"CREATE TABLE `{table.name}` USING delta LOCATION '{self._root}/{table.name}'")

    def _delta(self, table: Table) -> DeltaTable:
        if self._settings.catalog:
            return DeltaTable.forName(self.session, self.identifier(table))
        return DeltaTable.forPath(self.session, f"{self._root}/{table.name}")

    def _save(self, writer: DataFrameWriter, table: Table) -> None:
        if self._settings.catalog:
            writer.saveAsTable(self.identifier(table))
        else:
            writer.save(f"{self._root}/{table.name}")

    def _contract_version(self, table: Table) -> str | None:
        """Contract version of the table there is; None where there is none, or where making it was interrupted."""
        if not self.exists(table):
            return None
        return self._properties(table).get(_VERSION_PROPERTY)

    def _properties(self, table: Table) -> dict[str, str]:
        rows = self.session.sql(f"SHOW TBLPROPERTIES {self.identifier(table)}").collect()  # one row a property: bounded
        return {row["key"]: row["value"] for row in rows}

    def _create(self, table: Table) -> None:
        """Idempotent; the version property comes last, so an interrupted creation is finished by the next one."""
        name = self.identifier(table)
        if self.directory is not None and not self.exists(table):  # to Delta an empty log's directory is a table, so it would make none
            shutil.rmtree(self.directory / table.name / "_delta_log", ignore_errors=True)
        partition = f"PARTITIONED BY ({', '.join(table.partition_by)})" if table.partition_by else ""
        self.session.sql(f"CREATE TABLE IF NOT EXISTS {name} ({table.ddl()}) USING delta {partition} COMMENT '{_quoted(table.doc)}'")
        properties = self._properties(table)
        for check, condition in table.checks.items():
            constraint = check.replace(" ", "_")
            if f"delta.constraints.{constraint}" not in properties:
                self.session.sql(f"ALTER TABLE {name} ADD CONSTRAINT {constraint} CHECK ({condition})")
        if table.skip_by:
            self.session.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{_SKIP_PROPERTY}' = '{','.join(table.skip_by)}')")
        self.session.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{_VERSION_PROPERTY}' = '{table.version}')")

    def _commit(self, table: Table, write: Callable[[], None]) -> int:
        """Run `write` under the lock; a commit conflict is retried with back-off, then RetryableError (exit 75)."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.exclusive(table):
                    write()
                    return self.version(table)
            except DeltaConcurrentModificationException as error:
                if attempt == _ATTEMPTS:
                    raise RetryableError(
                        f"{table.name}: another writer committed first, {_ATTEMPTS} times; run the same command again"
                    ) from error
                time.sleep(2.0**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextmanager
    def exclusive(self, table: Table) -> Iterator[None]:
        """Keep other drivers from committing to a local table during the block; this driver may. Elsewhere Delta's own conflict check stands."""
        if self.directory is None:
            yield
            return
        lock = self.directory / ".locks" / f"{table.name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=self._settings.lock_timeout_s, is_singleton=True):  # one a process, so it can be taken again
                yield
        except Timeout as error:
            raise RetryableError(
                f"{lock}: another driver has been writing {table.name} for {self._settings.lock_timeout_s:.0f} s; try again"
            ) from error


def _root(path: str) -> str:
    if "://" in path:
        return path.rstrip("/")
    directory = Path(path).expanduser().resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".locks"
        probe.mkdir(exist_ok=True)
        (probe / "writable").touch()
    except OSError as error:
        raise ConfigError(
            f"warehouse.path: {directory} cannot be written ({error.strerror}); set warehouse.path to a directory that can"
        ) from error
    return str(directory)


def _slice_condition(table: Table, nights: Sequence[dt.date] | None, fixed: dict[str, str]) -> str:
    """SQL that says which rows are replaced. Only dates and plain names can get into it."""
    terms = []
    for column, value in fixed.items():
        table.column(column)
        if not _SAFE.match(value):
            raise ContractError(f"{table.name}.{column}: expected letters, digits and ._:- only, found {value!r}")
        terms.append(f"`{column}` = '{value}'")
    if nights is not None:
        dates = ", ".join("DATE'" + night.isoformat() + "'" for night in nights)
        terms.append(f"night IN ({dates})" if nights else "false")
    return " AND ".join(terms) or "true"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
