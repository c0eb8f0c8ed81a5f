"""Other people's classes in ours."""

from __future__ import annotations

import pytest

from deeprubin_spark.errors import ContractError
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES, CLASSES
from deeprubin_spark.schemas.taxonomy_map import NONE, RELATIONS, SAME, TAXONOMIES, WIDER, class_of, in_theirs, rows_of


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_each_code_stands_once_and_names_only_classes_that_are_ours(taxonomy):
    rows = rows_of(taxonomy)
    assert len({row.code for row in rows}) == len(rows)
    for row in rows:
        assert set(row.ours) <= set(CLASS_NAMES) and row.relation in RELATIONS
        assert (row.relation == NONE) == (row.ours == ()), row


@pytest.mark.parametrize("taxonomy", TAXONOMIES)
def test_two_classes_that_are_the_same_as_one_of_ours_are_one(taxonomy):
    same = [row.ours[0] for row in rows_of(taxonomy) if row.relation == SAME]
    assert len(set(same)) == len(same)


def test_plasticcs_targets_are_the_taxonomys_own():
    assert class_of("plasticc") == {str(leaf.plasticc): leaf.name for leaf in CLASSES}


def test_alerce_has_fifteen_classes():
    assert len(rows_of("alerce")) == 15


def test_a_code_of_elasticc_lies_below_the_one_its_digits_say():
    codes = {row.code for row in rows_of("elasticc")}
    for code in codes - {"0", "100", "200", "300"}:
        parent = code.rstrip("0")[:-1].ljust(len(code), "0")
        assert len(code) == 4 and (parent in codes or code in ("1000", "2000")), code


def test_the_earlier_code_of_elasticc_is_the_later_one_with_each_digit_one_less():
    for row in rows_of("elasticc"):
        if row.earlier and not row.code.endswith("0"):
            assert row.code == "2" + "".join(str(int(digit) + 1) for digit in row.earlier), row


def test_a_model_of_elasticc_has_the_class_of_the_code_it_is_counted_under():
    leaves = {"10": "2222", "20": "2223", "31": "2224", "12": "2225", "11": "2226", "50": "2232", "51": "2232", "82": "2233", "40": "2242",
              "42": "2243", "80": "2323", "83": "2325", "60": "2332"}  # fmt: skip
    of_model, of_code = class_of("elasticc_model"), class_of("elasticc")
    assert {model: of_model[model] for model in leaves} == {model: of_code[code] for model, code in leaves.items()}
    assert not {"37", "89", "45", "46", "59", "84", "90", "91"} & set(of_model), "between two classes, or none of ours"


def test_what_is_wider_says_no_class_and_what_is_narrower_does():
    assert class_of("alerce")["Blazar"] == "AGN" and "SLSN" not in class_of("alerce") and "LPV" not in class_of("alerce")
    assert class_of("fink") == {"AGN": "AGN", "QSO": "AGN", "Seyfert_1": "AGN", "Seyfert_2": "AGN", "BLLac": "AGN", "Blazar": "AGN",
                                "RRLyr": "RRL", "EB*": "EB", "Mira": "Mira"}  # fmt: skip


def test_ours_in_theirs_is_the_closest_and_says_what_is_lost():
    assert [(row.code, sign) for row, sign in in_theirs("elasticc", "SNIa")] == [("2222", SAME)]
    assert [(row.code, sign) for row, sign in in_theirs("alerce", "SNIax")] == [("SNIa", WIDER)]
    assert [row.code for row, _ in in_theirs("alerce", "AGN")] == ["QSO", "AGN", "Blazar"]
    assert in_theirs("alerce", "Kilonova") == ()


def test_an_unknown_taxonomy_is_refused():
    with pytest.raises(ContractError, match="expected one of plasticc, elasticc.*found 'tns'"):
        class_of("tns")
