"""What is asked of ALeRCE, and how far it got."""

from __future__ import annotations

import pytest

from deeprubin_spark.errors import NoInputError, UsageError
from deeprubin_spark.ingestion.alerce import Progress, Request, request_of

ONE, TWO, THREE = "ZTF19aapvogv", "ZTF18abquyqj", "ZTF20aasiasa"


def test_objects_come_from_a_file_and_from_flags_each_once(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text(f"# supernovae\n{ONE}\n\n  {TWO}  # Ibc\n{ONE}\n")
    assert request_of(str(path), [THREE], []) == Request((THREE, ONE, TWO))


def test_a_line_that_is_no_object_is_named(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text(f"{ONE}\nSN2019abc\n")
    with pytest.raises(UsageError, match=r"ids\.txt, line 2: expected a ZTF object id like ZTF18abcdefg, found 'SN2019abc'"):
        request_of(str(path), [], [])


@pytest.mark.parametrize("content", [None, "", "# nothing yet\n", b"\xff\xfe\x00"])
def test_a_file_without_objects_is_no_input(tmp_path, content):
    path = tmp_path / "ids.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NoInputError, match=r"ids\.txt"):
        request_of(str(path), [], [])


@pytest.mark.parametrize("query", ["colour=red", "class_name", "class_name=", "page=3", "count=true"])
def test_a_filter_that_the_api_would_ignore_is_refused(query):
    with pytest.raises(UsageError, match="--query .*expected key=value with a key of oid, classifier"):
        request_of("", [], [query])


@pytest.mark.parametrize(("ids", "query"), [([], []), ([ONE], ["class_name=SNIa"])])
def test_either_objects_or_a_query(ids, query):
    with pytest.raises(UsageError, match="either objects .* or a --query"):
        request_of("", ids, query)


def test_the_same_request_in_another_order_goes_on_where_the_first_stopped():
    assert Request((ONE, TWO)).fingerprint() == Request((TWO, ONE)).fingerprint() != Request((ONE,)).fingerprint()
    a, b = (request_of("", [], q) for q in (["ndet=5", "ndet=9", "class_name=SNIa"], ["class_name=SNIa", "ndet=5", "ndet=9"]))
    assert a.fingerprint() == b.fingerprint() != request_of("", [], ["ndet=9", "ndet=5", "class_name=SNIa"]).fingerprint()


def test_progress_outlives_its_process_until_the_request_is_done(tmp_path):
    path = tmp_path / "progress" / "request.jsonl"
    first = Progress(path)
    first.add([ONE, TWO])
    first.add([THREE])
    again = Progress(path)
    assert again.done == {ONE, TWO, THREE}
    again.finish()
    assert Progress(path).done == set()


def test_a_note_cut_by_a_crash_costs_its_own_page_only(tmp_path):
    path = tmp_path / "request.jsonl"
    Progress(path).add([ONE])
    Progress(path).add([TWO])
    path.write_text(path.read_text()[:-5])
    assert Progress(path).done == {ONE}
    Progress(path).add([THREE])
    assert Progress(path).done == {ONE, THREE}
