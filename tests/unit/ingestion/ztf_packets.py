"""Archives and packets that tests make from the carried ones."""

from __future__ import annotations

import copy
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import fastavro

from tests.conftest import ZTF_ARCHIVE

ZTF = ZTF_ARCHIVE.parent
NIGHT_3_0 = ZTF_ARCHIVE / "ztf_public_20180819.tar.gz"


def packets(archive: Path) -> dict[str, bytes]:
    """Member name -> packet, read by the standard library."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def by_fastavro(packet: bytes) -> dict[str, Any]:
    """The packet's only record."""
    (record,) = fastavro.reader(io.BytesIO(packet))
    return record


def rewritten(packet: bytes, codec: str = "null", copies: int = 1, **candidate: Any) -> bytes:
    """The packet with other values in `candidate`, written again by fastavro; candid changes in both places."""
    reader = fastavro.reader(io.BytesIO(packet))
    record = copy.deepcopy(next(reader))
    record["candidate"] |= candidate
    record["candid"] = candidate.get("candid", record["candid"])
    out = io.BytesIO()
    fastavro.writer(out, reader.writer_schema, [record] * copies, codec=codec)
    return out.getvalue()


def tar(members: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of the members, names as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar_gz(members: dict[str, bytes]) -> bytes:
    return gzip.compress(tar(members), 1)


def varint(number: int) -> bytes:
    """A number as Avro writes it."""
    bits, out = (number << 1) ^ (number >> 63), bytearray()
    while bits >= 0x80:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes([*out, bits])
