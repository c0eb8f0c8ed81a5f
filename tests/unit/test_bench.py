"""The bench without its clock: bars, the page's tables, and the light curves that are measured."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.perf import bench, clock, report
from tests.perf.light_curves import repeated, standard_mix, tonight
from tests.perf.rows import Measured, Row

RUN = {
    "form": "payloads",
    "alerts": 1000,
    "objects": 700,
    "known_objects_in_warehouse": 5000,
    "history_points": 250_000,
    "steps": {"ingest_archive": {"core_s": 0.2, "wall_s": 0.1}, "score_night": {"core_s": 0.1, "wall_s": 0.1}},
    "total_core_s": 0.3,
    "fixed_core_s": 0.1,
    "peak_rss_mb": 900,
    "date": "2026-11-24",
    "machine": "a machine",
}


def row(**bars) -> Row:
    return Row("decode", "decode", "alert", lambda place: Measured(1.0, 1), "fastavro", **bars)


@pytest.mark.parametrize(
    ("bars", "told"),
    [
        ({"most_core_us": 9.0}, "10.0 core-us per alert, at most 9 allowed"),
        ({"least_ratio": 6.0}, "5.00 times as fast as fastavro, at least 6 expected"),
        ({"least": {"exact": 0.95}}, "exact 0.9, at least 0.95 expected"),
        ({"most": {"off by": 1e-6}}, "off by 0.001, at most 1e-06 allowed"),
    ],
)
def test_a_bar_that_is_not_reached_is_told(bars, told):
    found = Measured(10.0, 100, 50.0, {"exact": 0.9, "off by": 1e-3})
    assert row(**bars).failures(found) == [f"decode: {told}"]


def test_a_bar_that_is_just_reached_is_no_failure():
    found = Measured(10.0, 100, 50.0, {"exact": 0.9, "off by": 1e-3})
    assert row(most_core_us=10.0, least_ratio=5.0, least={"exact": 0.9}, most={"off by": 1e-3}).failures(found) == []


def test_an_accuracy_that_is_no_number_reaches_no_bar():
    assert len(row(least={"x": 0.0}, most={"y": 1.0}).failures(Measured(1.0, 1, None, {"x": np.nan, "y": np.nan}))) == 2


def test_rows_have_names_of_their_own_and_a_ratio_to_somebody():
    names = [row.name for row in bench.ROWS]
    assert len(names) == len(set(names))
    assert all(row.peer for row in bench.ROWS if row.least_ratio is not None)


def test_a_failed_bar_is_the_exit_code_and_a_row_that_breaks_stops_no_other(monkeypatch, capsys, tmp_path):
    def breaks(place):
        raise RuntimeError("no such kernel")

    broken = Row("broken", "broken", "object", breaks)
    slow = Row("slow", "slow", "object", lambda place: Measured(30.0, 1), most_core_us=20.0)
    monkeypatch.setattr(bench, "ROWS", (broken, slow))
    monkeypatch.setattr(bench, "BASELINE", tmp_path / "baseline.json")
    assert bench.main(["--write-baseline"]) == 1
    printed = capsys.readouterr().out
    assert "failed: broken: not measured: RuntimeError: no such kernel" in printed
    assert "failed: slow: 30.0 core-us per object, at most 20 allowed" in printed
    assert json.loads((tmp_path / "baseline.json").read_text())["rows"]["slow"]["core_us"] == 30.0


def test_a_row_without_its_data_is_said_not_to_run(capsys):
    assert bench.main(["--only", "period_rr_lyrae"]) == 0
    assert "not run: no data" in capsys.readouterr().out


def test_the_slope_leaves_out_what_a_job_costs_whatever_its_size(monkeypatch):
    spent = [0.0]
    monkeypatch.setattr(clock, "process_tree_seconds", lambda: spent[0])

    def work(parts):
        spent[0] += 3.0 + 0.5 * len(parts)

    found = clock.slope(work, list(range(10)), 1000)
    assert (found.each, found.fixed_core_s) == pytest.approx((500.0, 3.0))


def test_the_page_says_what_the_baseline_and_the_ladder_say():
    page = report.PAGE.read_text()
    assert report.written(page) == page


def test_rows_of_another_run_say_when_and_where_they_were_measured():
    usual = {"date": "2026-11-24", "machine": "a machine", **Measured(10.0, 100).as_dict()}
    later = usual | {"date": "2026-11-29", "machine": "another"}
    lines = report.table({"rows": {"gp": usual, "anomaly": later, "features": usual}}).splitlines()
    assert lines[:3] == ["Measured on 2026-11-24: a machine.", "anomaly on 2026-11-29: another.", ""]


def test_a_ladder_of_nights_is_a_table_by_form_and_size():
    larger = RUN | {"alerts": 2000, "total_core_s": 0.4}
    lines = report.ladder_table([larger, RUN]).splitlines()
    assert [line.split(" | ")[1] for line in lines if line.startswith("| payloads")] == ["1,000", "2,000"]
    assert "| 300 | 200 | 0.1 |" in lines[5] and lines[5].endswith("| 200 | 100 |")


def test_ten_years_are_counted_by_the_largest_night_and_its_fold():
    tables = {"features": {"files": 7, "bytes": 2_000_000, "rows": 700}, "runs": {"files": 6, "bytes": 9, "rows": 6}}
    fold = {"total_core_s": 1.0, "peak_rss_mb": 900, "objects": 5000, "files": 3, "bytes_before": 10_000_000, "bytes": 10_400_000}
    page = report.years_table([RUN, RUN | {"tables": tables, "fold": fold}])
    assert "| features | 2,000 | 7,000,000 | 20.0 | 7 | 73.0 |" in page and "| runs |" not in page
    assert "| lightcurve_base, of folded segments | 400 | | 4.0 | | 14.6 |" in page and "200 core-us each" in page
    assert report.years_table([RUN]) == "No night's files are recorded."


def test_the_plots_are_drawn_the_same_every_time(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "LADDER_PLOT", tmp_path / "ladder.svg")
    drawn = []
    for _ in range(2):
        report.plot_ladder([RUN, RUN | {"alerts": 10_000}, RUN | {"history_points": 2_500_000}])
        drawn.append((tmp_path / "ladder.svg").read_bytes())
    assert drawn[0] == drawn[1] and b"score_night" in drawn[0]


def test_the_mix_has_51_points_in_the_mean_and_is_the_same_every_time():
    curves = standard_mix(100)
    counts = np.diff(curves.offsets)
    assert counts.mean() == pytest.approx(51.0, abs=1.0) and counts.min() == 10 and counts.max() < 150
    np.testing.assert_array_equal(curves.flux, standard_mix(100).flux)
    assert set(np.unique(curves.band)) == {1, 2}


def test_a_repeated_batch_has_the_same_objects_again():
    curves = standard_mix(8)
    twice = repeated(curves, 2)
    np.testing.assert_array_equal(np.diff(twice.offsets), np.tile(np.diff(curves.offsets), 2))
    np.testing.assert_array_equal(twice.mjd[len(curves.mjd) :], curves.mjd)


def test_tonight_every_object_has_a_new_point():
    curves, known_night = tonight(standard_mix(20))
    assert np.all(known_night[curves.offsets[1:] - 1] == known_night.max())
