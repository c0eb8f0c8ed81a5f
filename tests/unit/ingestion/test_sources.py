"""Which archives and packets a run reads."""

from __future__ import annotations

import datetime as dt

import pytest

from deeprubin_spark.errors import ConfigError, NoInputError
from deeprubin_spark.ingestion.archive import in_tasks, night_of_name, sources
from tests.unit.ingestion.ztf_packets import ZTF, ZTF_ARCHIVE

NIGHT = dt.date(2018, 11, 29)


@pytest.mark.parametrize(
    ("name", "night"),
    [
        ("ztf_public_20181129.tar.gz", NIGHT),
        ("ztf_public_20181129_mod1000.tar.gz", NIGHT),
        ("ztf_partnership_20181129.tar", NIGHT),
        ("ztf_public_20181329.tar.gz", None),
        ("ztf_public_201811290.tar.gz", None),
        ("fink_broker_20181129.tar.gz", None),
        ("ztf_public_20181129.avro", None),
    ],
)
def test_the_night_of_an_archive_is_in_its_name(name, night):
    assert night_of_name(name) == night


def test_a_folder_gives_the_archives_of_the_nights_asked_for():
    found = sources([str(ZTF_ARCHIVE)], [NIGHT, NIGHT + dt.timedelta(1)])
    assert [(s.name, s.night, s.md5) for s in found] == [("ztf_public_20181129.tar.gz", NIGHT, md5_of("ztf_public_20181129.tar.gz"))]


def md5_of(name):
    return next(line.split()[0] for line in (ZTF_ARCHIVE / "MD5SUMS").read_text().splitlines() if line.endswith(name))


def test_single_packets_are_sources_of_any_night(tmp_path):
    for name in ("b.avro", "a.avro", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (found,) = sources([str(tmp_path)], [NIGHT])
    assert (found.name, found.files, found.night) == (tmp_path.name, ("a.avro", "b.avro"), None)


def test_a_file_named_twice_is_read_once():
    folder, file = str(ZTF_ARCHIVE), str(ZTF_ARCHIVE / "ztf_public_20181129.tar.gz")
    assert len(sources([folder, file, file], [NIGHT])) == 1


def test_the_order_of_sources_does_not_depend_on_the_order_of_paths():
    paths = [str(ZTF / "malformed"), str(ZTF_ARCHIVE), str(ZTF / "reencoded")]
    nights = [NIGHT, dt.date(2018, 8, 19)]
    assert sources(paths, nights) == sources(paths[::-1], nights[::-1])


def test_nothing_to_read_is_said_with_the_name_that_was_expected(tmp_path):
    with pytest.raises(NoInputError, match=r"ztf_public_20181129\.tar\.gz"):
        sources([str(tmp_path)], [NIGHT])
    with pytest.raises(NoInputError, match="no such archive"):
        sources([str(tmp_path / "ztf_public_20181129.tar.gz")], [NIGHT])
    with pytest.raises(NoInputError, match="2018-11-29"):
        sources([str(ZTF_ARCHIVE / "ztf_public_20180819.tar.gz")], [NIGHT])
    with pytest.raises(ConfigError, match="s3://"):
        sources(["s3://bucket/night"], [NIGHT])


def test_tasks_hold_every_source_once_and_about_the_same_bytes():
    found = sources([str(ZTF_ARCHIVE)], [dt.date(2018, 6, 1) + dt.timedelta(i) for i in range(2600)])
    tasks = in_tasks(found, 4)
    assert sorted(s.ordinal for task in tasks for s in task) == list(range(len(found))) == list(range(20))
    loads = sorted(sum(s.n_bytes for s in task) for task in tasks)
    assert loads[2] < 2 * loads[0]  # the largest archive alone outweighs the others
    assert in_tasks(found[:1], 4) == ((found[0],),)
