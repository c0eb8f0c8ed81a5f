"""The carried nights, from archive to scores, through `nightly` as a user runs it."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from deeprubin_spark.jobs import build_lightcurves, extract_features, fold_lightcurves, ingest_archive, ingest_labels, nightly, score_night
from pyspark.sql import functions as F

from deeprubin_spark.preprocessing.light_curves import light_curves
from deeprubin_spark.prompt import open_tables
from deeprubin_spark.reporting.facts import SEARCH_ORDER
from deeprubin_spark.schemas import (
    ALERTS_ZTF,
    ANOMALIES,
    CATALOGUE_MATCHES,
    FEATURES,
    HABITABILITY_NEARBY,
    LABELS,
    LIGHTCURVE_BASE,
    LIGHTCURVE_SEGMENTS,
    QUARANTINE,
    RUNS,
    SCORES,
)
from deeprubin_spark.schemas.packed_points import model_point_rows
from deeprubin_spark.schemas.taxonomy import CLASSES
from deeprubin_spark.tables import Warehouse
from tests.conftest import DATA, settings_at
from tests.e2e import nights

NIGHT = dt.date(2018, 11, 29)
ALL = ("--nights", "2018-06-01:2025-03-02")
N_PACKETS = 484  # tests/data/ztf/manifest.csv


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("night")


@pytest.fixture(scope="module")
def warehouse(spark, place):
    """All carried nights, run once, with the carried list of known types."""
    known = ["--list", str(DATA / "ztf" / "object_labels.csv"), "--labelled-on", "2026-11-22"]
    assert ingest_labels.main([*known, *nights.flags(place)]) == 0
    assert nightly.main([*ALL, *nights.flags(place)]) == 0
    return Warehouse(spark, settings_at(place).warehouse)


def test_every_packet_is_accounted_for(warehouse):
    ledger = warehouse.read(RUNS).where("job = 'ingest_archive'").first()["counts"]
    assert ledger["members"] == N_PACKETS
    assert ledger["members"] == ledger["kept"] + ledger["duplicates"] + ledger["excluded"] + ledger["quarantined"] + ledger["other_night"]
    assert ledger["quarantined"] == 0 == warehouse.read(QUARANTINE).count()
    assert warehouse.read(ALERTS_ZTF).select("candid").distinct().count() == ledger["kept"]


def test_every_touched_object_has_features_a_score_or_a_reason_and_a_rank_or_a_reason(warehouse):
    keys = ["survey", "object_id", "night"]
    touched = warehouse.read(LIGHTCURVE_SEGMENTS).select(*keys)
    for table in (FEATURES, SCORES, ANOMALIES):
        rows = warehouse.read(table).select(*keys)
        assert rows.exceptAll(touched).isEmpty() and touched.exceptAll(rows).isEmpty(), table.name


def test_probabilities_sum_to_one_and_the_class_is_the_most_probable(warehouse):
    scored = warehouse.read(SCORES).where("status = 'scored'")
    total = F.expr("aggregate(map_values(probabilities), 0D, (a, p) -> a + p)")
    assert scored.count() > 0
    assert scored.where(F.abs(total - 1) > 1e-5).isEmpty()
    assert scored.where("abs(probabilities[class] - p_class) > 1e-6 OR p_class < array_max(map_values(probabilities)) - 1e-6").isEmpty()
    assert scored.where("abs(p_transient + p_stochastic + p_periodic - 1) > 1e-5").isEmpty()


def test_most_objects_that_pass_the_gates_get_a_score(warehouse):
    of_night = warehouse.read(SCORES, nights=[NIGHT]).where("n_detections >= 5")
    eligible = of_night.where("reason IS NULL OR reason NOT IN ('bogus', 'known_asteroid')")
    assert eligible.count() >= 20
    assert eligible.where("status = 'scored'").count() >= 0.7 * eligible.count()


def test_class_shares_agree_with_known_types(warehouse, place):
    """Bounds, not a measure of accuracy: of the night's known variable stars most are called periodic, and their class leads the page."""
    periodic = [leaf.name for leaf in CLASSES if leaf.branch == "Periodic"]
    scored = warehouse.read(SCORES, nights=[NIGHT]).where("status = 'scored'").withColumnRenamed("class", "ours")
    known = scored.join(warehouse.read(LABELS), ["survey", "object_id"]).where(F.col("class").isin(periodic))
    assert known.count() >= 40
    assert known.where(F.col("ours").isin(periodic)).count() >= 0.75 * known.count()
    shares = {row["ours"]: row["count"] for row in scored.groupBy("ours").count().collect()}
    assert max(shares, key=shares.__getitem__) in periodic
    assert "Cross-matched labels" in (place / "reports" / "ztf_2018-11-29.html").read_text()


def test_gated_objects_say_which_gates_they_failed(warehouse):
    gated = (
        warehouse.read(ANOMALIES, nights=[NIGHT])
        .where("status = 'gated'")
        .join(
            warehouse.read(FEATURES, nights=[NIGHT]).select(
                "object_id", "ss_distance", "rb_max", "drb_max", F.col("n_detections").alias("n")
            ),
            "object_id",
        )
    )
    assert gated.where("reason LIKE '%known_asteroid%' AND NOT (ss_distance <= 5)").isEmpty()
    assert gated.where("ss_distance <= 5 AND reason NOT LIKE '%known_asteroid%'").isEmpty()
    assert gated.where("(n < 3) <> (reason LIKE '%too_few_detections%')").isEmpty()
    assert gated.where("drb_max IS NULL AND (rb_max < 0.55) <> (reason LIKE '%bogus%')").isEmpty()


def test_anomalies_are_ranked_from_odd_to_usual_and_explained(warehouse):
    ranked = warehouse.read(ANOMALIES, nights=[NIGHT]).where("status = 'ranked'").orderBy("rank").collect()
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    scores = [row["score"] for row in ranked]
    assert scores == sorted(scores, reverse=True) and 0 < scores[-1] <= scores[0]
    rates = [row["false_alarm_rate"] for row in ranked]
    assert rates == sorted(rates) and rates[0] > 0 and rates[-1] <= 1
    for row in ranked:
        assert all(row[name] is not None for name in ("disagreement", "divergence", "latent_density", "entropy", "nearest_class"))
        assert f"most by its {row['most_telling']}; nearest class {row['nearest_class']}" in row["explanation"]
        near = row["nearest_objects"]
        assert (near is not None) == (row["false_alarm_rate"] < 0.1)
        assert near is None or (len(near) == 3 and [n["distance"] for n in near] == sorted(n["distance"] for n in near))
        shares = [c["share"] for c in row["contributions"]]
        assert shares == sorted(shares, reverse=True)
        assert row["contributions"][0]["feature"] in row["explanation"]


def test_a_supernova_seen_on_many_nights_is_one_growing_light_curve(warehouse):
    counts = warehouse.read(SCORES).where("object_id = 'ZTF19aazzpje'").orderBy("night").select("night", "n_detections").collect()
    assert len(counts) == 9
    assert [row["n_detections"] for row in counts] == sorted(row["n_detections"] for row in counts)
    view = light_curves(warehouse.read(LIGHTCURVE_SEGMENTS), warehouse.read(LIGHTCURVE_BASE)).where("object_id = 'ZTF19aazzpje'").first()
    detections = [p for p in view["points"] if p["kind"] == "detection" and not p["same_exposure"]]
    assert len(detections) == counts[-1]["n_detections"]
    assert [p["mjd"] for p in view["points"]] == sorted(p["mjd"] for p in view["points"])
    assert len({(p["exposure_mjd"], p["band"]) for p in detections}) == len(detections)


def test_features_of_a_night_see_no_later_point(warehouse):
    rows = warehouse.read(FEATURES).select("night", "points").collect()
    latest = [(row["night"], max(point["mjd"] for point in model_point_rows(row["points"]))) for row in rows if row["points"]]
    assert len(latest) > 400
    assert all(mjd < (night - dt.date(1858, 11, 17)).days + 1 for night, mjd in latest)


def test_a_tidal_disruption_and_a_blazar_are_found_at_their_places(warehouse):
    found = {(row["object_id"], row["catalogue"], row["name"]) for row in warehouse.read(CATALOGUE_MATCHES).collect()}
    assert {("ZTF19abzrhgq", "TDE", "AT 2019qiz"), ("ZTF18acbudwf", "3HSP", "3HSPJ004348.7-111607")} <= found


def test_every_search_ran_over_the_night_and_the_page_tells_of_it(warehouse, place):
    done = {row["job"] for row in warehouse.read(RUNS).where("status = 'done' AND parent_run_id IS NOT NULL").collect()}
    assert set(SEARCH_ORDER) <= done
    assert warehouse.read(HABITABILITY_NEARBY).count() > 3_000
    page = (place / "reports" / "ztf_2018-11-29.html").read_text()
    assert "3HSPJ004348.7-111607" in page
    assert "distance from the centre, kpc" in page


def test_a_night_run_twice_is_the_same_night(warehouse, place):
    before, n_runs = nights.content(warehouse, nights.EVERY), warehouse.read(RUNS).where("job = 'nightly'").count()
    assert nightly.main([*ALL, *nights.flags(place)]) == 0
    assert nights.content(warehouse, nights.EVERY) == before
    assert warehouse.read(RUNS).where("job = 'nightly'").count() == n_runs + 1


def test_nights_one_by_one_and_backwards_are_the_same_as_all_at_once(spark, warehouse, tmp_path):
    few = [dt.date(2019, 7, 20), dt.date(2019, 6, 19), dt.date(2019, 7, 2)]
    for night in few:
        for job in (ingest_archive, build_lightcurves):
            assert job.main(["--night", str(night), *nights.flags(tmp_path)]) == 0
    alone = Warehouse(spark, settings_at(tmp_path).warehouse)
    for night in few:
        one, other = (w.read(LIGHTCURVE_SEGMENTS, nights=[night]) for w in (alone, warehouse))
        assert one.exceptAll(other).isEmpty() and other.exceptAll(one).isEmpty()


def test_the_page_and_its_summary_are_there(place, warehouse):
    page = (place / "reports" / "ztf_2018-11-29.html").read_text()
    assert "370" in page and "http://" not in page.replace("http://www.w3.org", "")


def test_the_query_of_the_readme_prints_what_the_readme_shows(spark, warehouse):
    text = (Path(__file__).parents[2] / "README.md").read_text()
    query, shown = re.search(r'sql q="(.*?)"\n(.*?)```', text, re.DOTALL).groups()
    open_tables(spark, warehouse)
    rows = [[f"{value}" for value in row] for row in spark.sql(query).collect()]
    assert rows == [re.findall(r"[^|\s]+", line) for line in shown.splitlines() if line.startswith("|")][1:]


def test_folding_changes_neither_the_view_nor_a_folded_night_that_is_run_again(warehouse, place):
    def curves() -> list[str]:
        view = light_curves(warehouse.read(LIGHTCURVE_SEGMENTS), warehouse.read(LIGHTCURVE_BASE))
        return sorted(row["curve"] for row in view.select(F.to_json(F.struct("survey", "object_id", "points")).alias("curve")).collect())

    before, content = curves(), nights.content(warehouse, nights.OF_THE_NIGHT)
    fold = ["--night", "2019-07-20", *nights.flags(place, "lightcurves.fold_after_nights=15")]
    assert fold_lightcurves.main(fold) == 0
    assert warehouse.read(LIGHTCURVE_BASE).count() > 400
    assert warehouse.read(LIGHTCURVE_SEGMENTS, nights=[NIGHT]).isEmpty()
    assert curves() == before
    for job in (ingest_archive, build_lightcurves, extract_features, score_night):
        assert job.main(["--night", "2019-06-23", *nights.flags(place)]) == 0
    assert not warehouse.read(LIGHTCURVE_SEGMENTS, nights=[dt.date(2019, 6, 23)]).isEmpty()
    assert curves() == before
    after = nights.content(warehouse, nights.OF_THE_NIGHT)
    assert {name: after[name] for name in ("alerts_ztf", "features", "scores", "anomalies")} == {
        name: content[name] for name in ("alerts_ztf", "features", "scores", "anomalies")
    }
