"""The ledger of an ingested night: what was read, what was kept, and whether that is good enough."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import quality
from deeprubin_spark.errors import DataGateError, NoInputError
from deeprubin_spark.ingestion.archive import Source, in_tasks
from deeprubin_spark.ingestion.packets import ROW_SPARK, STAMPS, Wanted, alert_type, read_packets, unpack
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ALERTS_ZTF, CUTOUTS, QUARANTINE
from deeprubin_spark.schemas.contract import Table

_SURVEY = "ztf"
_TASKS_A_SHUFFLE_PARTITION = 4


class Tally(NamedTuple):
    """How many rows of a night came out one way; of 'source' rows the `members` they read, of kept ones the `copies` after an id's first."""

    night: dt.date
    outcome: str
    reason: str | None
    rows: int
    members: int
    copies: int


def ingest(run: Run, found: Sequence[Source]) -> None:
    """Read `found` into `alerts_ztf` and `quarantine` (and `cutouts` if asked), fill `run.counts`, then let the gates speak.

    DataGateError, after everything readable is written, for a damaged archive, one whose name contradicts its packets, or too many bad
    packets; NoInputError where sources without a date hold nothing of these nights.
    """
    rows = read(run, found).persist(StorageLevel.DISK_ONLY)  # decoded once, read by each table's write; never in memory
    try:
        tallies = _tally(rows)
        nights = _nights_read(run, found, tallies)
        _write_alerts(run, rows, tallies, nights)
        _write_quarantine(run, rows, tallies, nights, found)
        _count(run, tallies, nights)
        _gates(run, rows, tallies)
        run.nights = nights or run.nights  # of a range, those that have an archive: what the steps after this one work on
    finally:
        rows.unpersist()


def written_tables(run: Run) -> tuple[Table, ...]:
    """The tables whose slices a run replaces."""
    return (ALERTS_ZTF, QUARANTINE, CUTOUTS) if run.settings.ingest.cutouts == "keep" else (ALERTS_ZTF, QUARANTINE)


def read(run: Run, found: Sequence[Source]) -> DataFrame:
    """One row for each packet and source, as `packets.ROW`; a task holds one batch of alerts at a time, however large its archive."""
    tasks = in_tasks(found, _TASKS_A_SHUFFLE_PARTITION * run.settings.spark.shuffle_partitions)
    wanted = Wanted(frozenset(run.nights), run.nights[0], frozenset(run.settings.ingest.programids), run.settings.ingest.cutouts)
    return run.session.range(0, len(tasks), 1, len(tasks)).mapInArrow(read_packets(tasks, wanted), ROW_SPARK)


def _tally(rows: DataFrame) -> tuple[Tally, ...]:
    """Bounded by the nights of one run, whatever the number of alerts. Only ids are shuffled."""
    of_one_id = rows.groupBy("night", "outcome", "reason", F.when(F.col("outcome") == "kept", F.col("candid")).alias("candid")).agg(
        F.count("*").alias("rows"), F.sum(F.when(F.col("outcome") == "source", F.col("sequence")).otherwise(0)).alias("members")
    )
    counted = of_one_id.groupBy("night", "outcome", "reason").agg(
        F.sum("rows").alias("rows"),
        F.sum("members").alias("members"),
        F.sum(F.when(F.col("outcome") == "kept", F.col("rows") - 1).otherwise(0)).alias("copies"),
    )
    return tuple(Tally(**row.asDict()) for row in counted.collect())  # a row a night and outcome: bounded


def _sum(tallies: Sequence[Tally], *outcomes: str) -> int:
    return sum(tally.rows for tally in tallies if tally.outcome in outcomes)


def _nights_read(run: Run, found: Sequence[Source], tallies: Sequence[Tally]) -> tuple[dt.date, ...]:
    """Nights whose slices are replaced: those of dated archives, and those of which the other sources turned out to hold alerts."""
    nights = {source.night for source in found if source.night} | {tally.night for tally in tallies if tally.outcome == "kept"}
    if not nights and not _sum(tallies, "quarantined", "archive"):
        names = ", ".join(source.name for source in found[:5])
        n_packets = _sum(tallies, "other_night", "excluded")
        raise NoInputError(f"{ALERTS_ZTF.name}: none of the {n_packets} packets in {names} is of the nights and programmes asked for")
    return tuple(sorted(nights))


def _repeated(rows: DataFrame) -> DataFrame:
    """Candids of a night that are kept more than once, with the `first` in the order of sources."""
    place = F.struct("ordinal", "sequence")
    ids = rows.where(F.col("outcome") == "kept").groupBy("night", "candid").agg(F.min(place).alias("first"), F.count("*").alias("copies"))
    return ids.where(F.col("copies") > 1).select("night", "candid", "first")


def _kept(rows: DataFrame, repeated: DataFrame | None, names: Sequence[str]) -> DataFrame:
    """The columns called `names` of the kept alerts, each candid of a night once; whole alerts are filtered where they are."""
    packed = rows.where(F.col("outcome") == "batch").select("alerts")
    if repeated is None:
        return packed.mapInArrow(unpack(names), alert_type(names))
    needed = tuple(dict.fromkeys((*names, "night", "candid", "ordinal", "sequence")))
    joined = packed.mapInArrow(unpack(needed), alert_type(needed)).join(F.broadcast(repeated), ["night", "candid"], "left")
    is_first = F.col("first") == F.struct("ordinal", "sequence")
    return joined.where(F.col("first").isNull() | is_first).select(*names)


def _write_alerts(run: Run, rows: DataFrame, tallies: Sequence[Tally], nights: Sequence[dt.date]) -> None:
    if not nights:
        return
    repeated = _repeated(rows) if any(tally.copies for tally in tallies) else None  # there are none on most nights
    with _one_batch_at_a_time(run):
        run.replace_slice(ALERTS_ZTF, _kept(rows, repeated, ALERTS_ZTF.names), nights=nights)
        if run.settings.ingest.cutouts == "keep":
            stamps = _kept(rows, repeated, ("candid", "night", *(c.name for c in STAMPS)))
            stamps = stamps.withColumns({"survey": F.lit(_SURVEY), "source_id": F.col("candid")}).select(*CUTOUTS.names)
            run.replace_slice(CUTOUTS, stamps, nights=nights, survey=_SURVEY)


def _write_quarantine(run: Run, rows: DataFrame, tallies: Sequence[Tally], nights: Sequence[dt.date], found: Sequence[Source]) -> None:
    """Replace the bad packets of these nights; where there are none, nor were any, there is nothing to replace."""
    nights = _quarantine_nights(run, nights, found)
    if not _sum(tallies, "quarantined", "archive") and run.warehouse.read(QUARANTINE, survey=_SURVEY, nights=nights).isEmpty():
        return
    bad = rows.where(F.col("outcome").isin("quarantined", "archive")).withColumn("survey", F.lit(_SURVEY))
    run.replace_slice(QUARANTINE, bad.select(*QUARANTINE.names), nights=nights, survey=_SURVEY)


@contextmanager
def _one_batch_at_a_time(run: Run) -> Iterator[None]:
    """Rows that hold hundreds of alerts each go to Python one by one: any number of them at once would fill its memory."""
    setting = "spark.sql.execution.arrow.maxRecordsPerBatch"
    usual = run.session.conf.get(setting)
    run.session.conf.set(setting, "1")
    try:
        yield
    finally:
        run.session.conf.set(setting, str(usual))


def _quarantine_nights(run: Run, nights: Sequence[dt.date], found: Sequence[Source]) -> tuple[dt.date, ...]:
    """Undecodable packets without a dated archive lie under the first night asked for, so that slice is replaced too."""
    undated = any(source.night is None for source in found)
    return tuple(sorted({*nights, run.nights[0]})) if undated else tuple(nights)


def _count(run: Run, tallies: Sequence[Tally], nights: Sequence[dt.date]) -> None:
    """The ledger. `members` is the readers' own count and `kept` what lies in the table's new files, so that the balance means something."""
    run.counts.update(
        members=sum(tally.members for tally in tallies if tally.outcome == "source"),
        kept=_written(run, nights),
        duplicates=sum(tally.copies for tally in tallies),
        excluded=_sum(tallies, "excluded"),
        quarantined=_sum(tallies, "quarantined"),
        other_night=_sum(tallies, "other_night"),
    )
    quality.require_balance(ALERTS_ZTF.name, run.counts["members"], **{name: n for name, n in run.counts.items() if name != "members"})


def _written(run: Run, nights: Sequence[dt.date]) -> int:
    """Alerts in the slices that were replaced: all of their files are of one commit."""
    if not nights:
        return 0
    n_added = run.warehouse.rows_added(ALERTS_ZTF, run.outputs[ALERTS_ZTF.name])
    return run.warehouse.read(ALERTS_ZTF, nights=nights).count() if n_added is None else n_added


def _gates(run: Run, rows: DataFrame, tallies: Sequence[Tally]) -> None:
    if n_damaged := _sum(tallies, "archive"):
        first = _first(rows, F.col("outcome") == "archive")
        raise DataGateError(
            f"{ALERTS_ZTF.name}: {n_damaged} damaged archive{'s' if n_damaged > 1 else ''}. First: {first}. "
            "What could be read is in the table, the damage in quarantine; fetch the archive again and re-run."
        )
    if n_contradicting := sum(tally.rows for tally in tallies if tally.reason == "wrong_night"):
        raise DataGateError(
            f"{ALERTS_ZTF.name}: {n_contradicting} packets are not of the night in their archive's name. "
            f"First: {_first(rows, F.col('reason') == 'wrong_night')}. They are in quarantine; rename the archive to its night and re-run."
        )
    limit = run.settings.ingest.max_bad_fraction
    for night in sorted({tally.night for tally in tallies if tally.outcome == "quarantined"}):
        of_night = [tally for tally in tallies if tally.night == night]
        bad, total = _sum(of_night, "quarantined"), _sum(of_night, "kept", "excluded", "quarantined")
        example = ""
        if bad > limit * total:
            of_this_night = (F.col("outcome") == "quarantined") & (F.col("night") == F.lit(night))
            example = f"{_first(rows, of_this_night)}. They are in quarantine"
        where = f"{ALERTS_ZTF.name} {night}"
        quality.require_at_most(where, "packets could not be used", bad, total, limit, "ingest.max_bad_fraction", example)


def _first(rows: DataFrame, condition: Column) -> str:
    """Where and what the first row is for which `condition` holds."""
    row = rows.where(condition).orderBy("ordinal", "sequence").select("source", "member", "byte_offset", "reason", "detail").first()
    if row is None:
        return ""
    where = f"{row['source']} :: {row['member']}" if row["member"] else row["source"]
    return f"{where}, byte {row['byte_offset']}: {row['reason']}: {row['detail']}"
