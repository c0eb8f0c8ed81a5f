"""Every test has what explains it first, what would refute it, and classes that our taxonomy has."""

from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.schemas.technosignatures import TESTS
from deeprubin_spark.searches import natural_explanations as natural


def test_every_test_has_its_words_and_no_other() -> None:
    for words in (natural.NATURAL, natural.REFUTING, natural.EXPLAINING):
        assert tuple(words) == TESTS


def test_classes_that_explain_are_the_taxonomys() -> None:
    assert {name for classes in natural.EXPLAINING.values() for name in classes} <= set(CLASS_NAMES)


def test_no_word_calls_a_candidate_a_detection() -> None:
    for text in (*natural.NATURAL.values(), *natural.REFUTING.values()):
        assert not {"alien", "artificial", "detection of", "signal"} & set(text.lower().split())
