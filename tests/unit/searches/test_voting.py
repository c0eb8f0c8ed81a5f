from __future__ import annotations

import datetime as dt

import numpy as np

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels.measurements import DETECTION, LIMIT, MODEL_RECORD
from deeprubin_spark.searches.anomaly_ranks import order
from deeprubin_spark.searches.voting import Shown, Vote, asked, described, light_curve_text

NIGHT = dt.date(2018, 11, 29)
G, R = BAND_NAMES.index("g"), BAND_NAMES.index("r")
AB_20 = 36_307.8  # [nJy] 20 mag


def points(*rows) -> bytes:
    return np.array(list(rows), MODEL_RECORD).tobytes()


def shown(*ids: str) -> list[Shown]:
    return [Shown(object_id, NIGHT, i + 1, i + 1, "odd", b"") for i, object_id in enumerate(ids)]


def answered(ids: str, *answers: str) -> tuple[list[Vote], list[str]]:
    """Votes on objects of one letter each, and what was told; the terminal ends after the answers."""
    waiting, told = list(answers), []

    def read(question: str) -> str:
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    return list(asked(shown(*ids), read, told.append)), told


def test_each_object_gets_the_answer_that_was_given_to_it():
    votes, told = answered("abcd", "y a dip", "", "N", "q")
    assert votes == [Vote("a", NIGHT, "anomaly", "a dip"), Vote("c", NIGHT, "not_anomaly", None)]
    assert [text.split()[3] for text in told] == ["a", "b", "c", "d"]


def test_an_answer_that_is_none_is_asked_for_again_and_the_end_of_the_terminal_ends_it():
    votes, told = answered("ab", "maybe", "yes")
    assert votes == [Vote("a", NIGHT, "anomaly", None)]
    assert "expected y, n, s or q, found 'maybe'" in told


def test_a_light_curve_in_text_has_a_line_a_band_and_no_limit():
    text = light_curve_text(
        points(
            (58000.0, AB_20, 100.0, np.nan, G, DETECTION),
            (58010.0, 2.0 * AB_20, 100.0, np.nan, G, DETECTION),
            (58005.0, -AB_20, 100.0, np.nan, R, DETECTION),
            (58020.0, np.nan, np.nan, 5e3, R, LIMIT),
        )
    )
    assert len(text) == 3
    assert text[0].startswith("  g ") and text[0].endswith("2 points, 19.25 to 20.00 mag") and text[0].count("█") == 1
    assert text[1].startswith("  r ") and text[1].endswith("1 points, all fainter than the reference") and text[1].count("▁") == 1
    assert text[0].index("█") > text[1].index("▁"), "time grows to the right"
    assert text[2] == "    MJD 58000.00 to 58010.00, 10.0 d"
    assert light_curve_text(b"") == ["  no measurement"]


def test_the_rank_without_votes_stands_beside_one_that_moved():
    moved = Shown("a", NIGHT, 1, 40, "odd", b"")
    assert "rank 1 (without votes 40)" in described(moved)
    assert "without votes" not in described(shown("a")[0])


def test_ranks_follow_the_score_and_where_it_is_equal_or_missing_the_static_rank():
    static = np.array([1, 2, 3, 4])
    assert order(static, np.array([0.1, 0.9, 0.5, 0.5])).tolist() == [4, 1, 2, 3]
    assert order(static[::-1], None).tolist() == [4, 3, 2, 1]
