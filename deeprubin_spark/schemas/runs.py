"""Every run of every job: what it read and wrote, how long it took, how it ended."""

from deeprubin_spark.schemas.contract import Column, Table

RUNS = Table(
    "runs",
    doc="Job runs: inputs, outputs, counts, cost and outcome.",
    version=1,
    key=("run_id",),
    columns=(
        Column(
            "run_id", "string", ucd="meta.id;meta.main", doc="Id of the run, also in the history of every table it wrote", required=True
        ),
        Column("job", "string", doc="Job that ran", required=True),
        Column("parent_run_id", "string", doc="Run of `nightly` it was a step of"),
        Column("survey", "string", doc="Survey worked on"),
        Column("nights", "array<date>", doc="Nights worked on"),
        Column("status", "string", doc="done or failed", required=True),
        Column("exit_code", "int", doc="Exit code (sysexits)", required=True),
        Column("message", "string", doc="The error, if it failed"),
        Column("started_at", "timestamp", doc="Start", required=True),
        Column("finished_at", "timestamp", doc="End", required=True),
        Column("seconds", "double", unit="s", doc="Wall-clock time", required=True),
        Column(
            "core_seconds",
            "double",
            unit="s",
            doc="CPU time of the process tree: driver, JVM and Python workers on the driver's machine",
            required=True,
        ),
        Column("counts", "map<string,long>", unit="1", doc="The ledger of the job, e.g. members, kept, duplicates, excluded, quarantined"),
        Column("inputs", "map<string,long>", doc="Tables read, with their Delta versions"),
        Column("outputs", "map<string,long>", doc="Tables written, with their Delta versions"),
        Column("model_version", "string", doc="Model used"),
        Column("code_version", "string", doc="Version of this package", required=True),
        Column("settings_hash", "string", doc="SHA-256 of the resolved settings", required=True),
        Column("settings", "string", doc="The resolved settings, as JSON; secrets are never settings", required=True),
    ),
)
