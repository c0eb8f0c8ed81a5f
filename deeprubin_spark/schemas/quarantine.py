"""Packets that could not be decoded or failed a hard check: nothing is lost silently."""

from deeprubin_spark.schemas.contract import Column, Table

QUARANTINE = Table(
    "quarantine",
    doc="Packets that could not be decoded or failed a hard check, with their bytes.",
    version=1,
    key=("survey", "night", "source", "member"),
    partition_by=("survey", "night"),
    columns=(
        Column("survey", "string", doc="Survey of the source", required=True),
        Column("night", "date", doc="Night that was being read", required=True),
        Column("source", "string", doc="File name of the archive or folder", required=True),
        Column("member", "string", doc="Packet inside the source; '' where the archive itself is damaged", required=True),
        Column("byte_offset", "long", unit="byte", doc="Where it begins in the uncompressed source"),
        Column("n_bytes", "long", unit="byte", doc="Length of the packet"),
        Column(
            "reason",
            "string",
            doc="Code: not_avro, decode_failed, missing_field, bad_value, wrong_night; truncated_archive, not_an_archive, wrong_checksum",
            required=True,
        ),
        Column("detail", "string", doc="What was expected and what was found", required=True),
        Column("payload", "binary", doc="First 1 MiB of the packet"),
    ),
)
