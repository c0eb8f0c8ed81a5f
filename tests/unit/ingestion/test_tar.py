"""Archives are read to the last byte that is there, and damage is never passed over."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprubin_spark.ingestion.inflate import ArchiveBytes
from deeprubin_spark.ingestion.tar import Damage, members
from tests.unit.ingestion.ztf_packets import NIGHT_3_0, packets, tar, tar_gz

PACKETS = {f"{i}.avro": bytes([65 + i]) * (300 * i + 7) for i in range(9)}
PLAIN = tar(PACKETS)


def read(data: bytes):
    """(name -> content, damage or None) of an archive, and the MD5 of its bytes."""
    digest = hashlib.md5()
    stream = ArchiveBytes(io.BytesIO(data), digest.update)
    found = list(members(stream))
    stream.finish()
    damages = [m for m in found if isinstance(m, Damage)]
    assert len(damages) <= 1
    return {m.name: m.payload for m in found if not isinstance(m, Damage)}, (damages or [None])[0], digest.hexdigest()


def test_a_real_archive_is_read_as_the_standard_library_reads_it():
    data = NIGHT_3_0.read_bytes()
    found, damage, md5 = read(data)
    assert damage is None
    assert found == packets(NIGHT_3_0)
    assert md5 == hashlib.md5(data).hexdigest()


def test_byte_offsets_point_at_the_packets():
    for member in members(ArchiveBytes(io.BytesIO(gzip.compress(PLAIN, mtime=0)))):
        assert PLAIN[member.byte_offset : member.byte_offset + member.n_bytes] == PACKETS[member.name]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_are_labels_whatever_they_say(kind):
    names = ["../../escape.avro", "/etc/absolute.avro", "d/" * 60 + "deep.avro"]
    if kind != tarfile.USTAR_FORMAT:
        names += ["long" * 100 + ".avro", "ünïcode.avro"]
    contents = {name: name.encode() for name in names}
    assert read(tar(contents, kind))[:2] == (contents, None)


def test_links_come_as_empty_packets_and_folders_not_at_all():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (("folder", tarfile.DIRTYPE), ("link.avro", tarfile.SYMTYPE), ("hard.avro", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert read(out.getvalue())[:2] == ({"link.avro": b"", "hard.avro": b""}, None)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PLAIN) - 1))
def test_a_cut_tar_gives_every_member_before_the_cut(cut):
    found, damage, _ = read(PLAIN[:cut])
    assert_readable_part(found, damage, PLAIN[:cut])


COMPRESSED = NIGHT_3_0.read_bytes()
WHOLE = list(members(ArchiveBytes(io.BytesIO(COMPRESSED))))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, len(COMPRESSED) - 1))
def test_a_cut_tar_gz_gives_every_member_before_the_cut(cut):
    data = COMPRESSED[:cut]
    found, damage, _ = read(data)
    assert damage is not None
    assert damage.reason == ("truncated_archive" if cut > 1 else "not_an_archive")  # one byte may begin anything
    there = len(inflated(data))
    assert list(found) == [m.name for m in WHOLE if m.byte_offset + m.n_bytes <= there]
    assert all(found[m.name] == m.payload for m in WHOLE[: len(found)])
    assert damage.byte_offset <= there


def inflated(data):
    """All bytes that zlib, another implementation, can still read."""
    header = 10 + (data[10:].find(b"\0") + 1 if data[3:4] == b"\x08" else 0)
    return zlib.decompressobj(-15).decompress(data[header:]) if len(data) > header else b""


def assert_readable_part(found, damage, data):
    whole = {m.name: m for m in members(ArchiveBytes(io.BytesIO(PLAIN)))}
    expected = {name: m.payload for name, m in whole.items() if m.byte_offset + m.n_bytes <= len(data)}
    assert found == expected
    end_mark = len(PLAIN.rstrip(b"\0")) // 512 * 512 + 1024
    if len(data) < end_mark or len(data) % 512:
        assert damage is not None
        assert damage.reason == ("not_an_archive" if 0 < len(data) < 512 else "truncated_archive")  # less than a header may be anything
    else:
        assert damage is None


def test_a_wrong_gzip_checksum_keeps_all_members_and_is_told():
    data = bytearray(tar_gz(PACKETS))
    data[-8] ^= 0xFF
    found, damage, _ = read(bytes(data))
    assert found == PACKETS
    assert "checksum" in damage.detail


def test_a_broken_header_in_the_middle_ends_the_archive_aloud():
    broken = bytearray(PLAIN)
    second = next(m for m in members(ArchiveBytes(io.BytesIO(PLAIN))) if m.name == "4.avro").byte_offset - 512
    broken[second : second + 100] = b"\xff" * 100
    found, damage, _ = read(bytes(broken))
    assert list(found) == [f"{i}.avro" for i in range(4)]
    assert (damage.reason, damage.byte_offset) == ("truncated_archive", second)


def test_an_archive_without_members_is_an_archive():
    for data in (tar({}), tar_gz({}), gzip.compress(b"\0" * 1024, mtime=0)):
        assert read(data)[:2] == ({}, None)


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (b"", "truncated_archive", "0 bytes"),
        (b"<!DOCTYPE HTML PUBLIC>" * 40, "not_an_archive", "<!DOCTYPE"),
        (b"short", "not_an_archive", "short"),
        (b"\x1f\x8b", "truncated_archive", "gzip header"),
        (b"\x1f\x8b\x07" + b"x" * 20, "truncated_archive", "gzip header"),
        (gzip.compress(b"", mtime=0), "truncated_archive", "end-of-archive"),
        (gzip.compress(b"<html>" * 200, mtime=0), "not_an_archive", "<html>"),
    ],
)
def test_what_is_no_archive_is_named(data, reason, said):
    found, damage, _ = read(data)
    assert found == {}
    assert damage.reason == reason
    assert said in damage.detail


def test_concatenated_archives_are_read_to_the_end():
    other = {"z.avro": b"z" * 600}
    assert read(tar_gz(PACKETS) + b"\0" * 37 + tar_gz(other))[:2] == (PACKETS | other, None)
    assert read(PLAIN + tar(other))[:2] == (PACKETS | other, None)


def test_bytes_after_the_compressed_archive_are_told():
    found, damage, _ = read(tar_gz(PACKETS) + b"<html>503</html>")
    assert found == PACKETS
    assert "not gzip" in damage.detail


def test_a_gzip_header_with_every_optional_field_is_read():
    body = tar_gz(PACKETS)
    header = body[:3] + bytes([2 | 4 | 8 | 16]) + body[4:10] + b"\x03\0abc" + b"name\0" + b"comment\0" + b"\0\0"
    assert read(header + body[10:])[:2] == (PACKETS, None)
