"""What ALeRCE says of an object, as our points and labels."""

from __future__ import annotations

import copy
import csv
import datetime as dt
import math
import random

import numpy as np
import pytest

from deeprubin_spark.ingestion.alerce_labels import CLASS_OF_LABEL, label_rows
from deeprubin_spark.ingestion.alerce_points import segment_rows
from deeprubin_spark.kernels import photometry
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.settings import LightCurveSettings
from tests.unit.ingestion.alerce_server import DATA, known_objects

OBJECTS = known_objects()
SUPERNOVA, CORRECTED = "ZTF19aapvogv", "ZTF18abadvod"
SETTINGS = LightCurveSettings()
DAY = dt.date(2018, 11, 29)


def segments(oid: str, detections=None, limits=None, settings=SETTINGS):
    known = OBJECTS.get(oid, {"detections": [], "non_detections": []})
    made = segment_rows(
        oid, known["detections"] if detections is None else detections, known["non_detections"] if limits is None else limits, settings
    )
    return made, [dict(zip(LIGHTCURVE_SEGMENTS.names, row, strict=True)) for row in made.rows]


def points(rows) -> list[dict]:
    names = [column.name for column in POINT]
    return [dict(zip(names, point, strict=True)) for row in rows for point in row["points"]]


def detection(**changed) -> dict:
    return copy.deepcopy(OBJECTS[SUPERNOVA]["detections"][0]) | changed


@pytest.mark.parametrize("oid", sorted(OBJECTS))
def test_every_detection_and_limit_is_in_the_segment_of_its_night(oid):
    made, rows = segments(oid)
    known = OBJECTS[oid]
    found = points(rows)
    assert (made.detections, made.limits, made.unusable) == (len(known["detections"]), len(known["non_detections"]), 0)
    assert sorted(p["source_id"] for p in found if p["kind"] == "detection") == sorted(int(d["candid"]) for d in known["detections"])
    assert sorted(p["exposure_mjd"] for p in found if p["kind"] == "limit") == sorted(n["mjd"] for n in known["non_detections"])
    assert len({row["night"] for row in rows}) == len(rows)
    for row in rows:
        assert row["survey"] == "ztf_alerce" and row["object_id"] == oid
        assert {p["known_night"] for p in points([row])} == {row["night"]}
        assert {dt.date(1858, 11, 17) + dt.timedelta(days=math.floor(p["exposure_mjd"])) for p in points([row])} == {row["night"]}


def test_a_point_has_its_flux_time_and_band_in_our_words():
    record = detection(mjd=58600.25, fid=2, isdiffpos=-1, magpsf=18.9, sigmapsf=0.1, diffmaglim=20.4, rb=0.4, drb=None)
    (point,) = points(segments(SUPERNOVA, [record], [])[1])
    assert point["flux_njy"] == pytest.approx(-1e5) and point["flux_err_njy"] == pytest.approx(1e5 * 0.1 * math.log(10) / 2.5)
    assert point["limit_njy"] == pytest.approx(10 ** ((31.4 - 20.4) / 2.5))
    assert point["mjd"] - point["exposure_mjd"] == pytest.approx(15 / 86400, abs=1e-9)
    assert (point["band"], point["kind"], point["cuts_failed"], point["rb"], point["drb"]) == ("r", "detection", "rb", 0.4, None)


def test_a_limit_has_no_flux_and_no_packet():
    (point,) = points(segments("ZTF18aaaaaaa", [], [{"mjd": 58600.25, "fid": 1, "diffmaglim": 21.4}])[1])
    nothing = {name for name, value in point.items() if value is None}
    assert nothing == set(point) - {"exposure_mjd", "mjd", "band", "kind", "known_night", "limit_njy", "cuts_failed"}
    assert (point["kind"], point["band"], point["limit_njy"]) == ("limit", "g", pytest.approx(1e4))


def test_a_detection_without_an_alert_of_its_own_belongs_to_its_parent():
    made, rows = segments(SUPERNOVA, [detection(candid="17", parent_candid=18, has_stamp=False)], [])
    (point,) = points(rows)
    assert (point["source_id"], point["packet_id"], rows[0]["n_alerts"], rows[0]["rb_max"]) == (17, 18, 0, None)


def test_the_same_content_in_any_order_and_with_copies_is_the_same_light_curve():
    known = copy.deepcopy(OBJECTS[CORRECTED])
    expected, _ = segments(CORRECTED)
    copies = [d | {"has_stamp": False, "parent_candid": 5, "magpsf": d["magpsf"] + 1e-5} for d in known["detections"][:6] if d["has_stamp"]]
    assert copies
    detections, limits = known["detections"] + copies, known["non_detections"] + known["non_detections"][:20]
    random.Random(1).shuffle(detections)
    random.Random(2).shuffle(limits)
    assert segments(CORRECTED, detections, limits)[0] == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"mjd": None},
        {"mjd": float("nan")},
        {"fid": 4},
        {"fid": None},
        {"candid": None},
        {"candid": "ATLAS_01a"},
        {"candid": 1.2e18},
        {"magpsf": -999.0},
        {"magpsf": "null"},
        {"isdiffpos": None},
        {"tid": "ATLAS-01b"},
    ],
)
def test_a_detection_without_time_band_flux_or_id_is_counted_not_kept(changed):
    made, rows = segments(SUPERNOVA, [detection(), detection(candid="17") | changed], [])
    assert (made.detections, made.unusable) == (1, 1)
    assert len(points(rows)) == 1


def test_missing_values_are_null_never_a_number():
    record = detection(sigmapsf=-999.0, rb=float("nan"), drb=-999.0, ra=None, diffmaglim=None, magpsf_corr=100.0, sigmapsf_corr=100.0)
    made, rows = segments(SUPERNOVA, [record], [])
    (point,) = points(rows)
    for name in ("flux_err_njy", "rb", "drb", "ra", "limit_njy", "apparent_flux_njy", "apparent_flux_err_njy"):
        assert point[name] is None, name
    assert rows[0]["ra"] is None and rows[0]["dec"] is None and rows[0]["healpix"] is None


def test_a_position_across_zero_is_not_on_the_other_side_of_the_sky():
    records = [detection(candid="1", ra=359.9999, dec=10.0), detection(candid="2", ra=0.0003, dec=10.0)]
    row = segments(SUPERNOVA, records, [])[1][0]
    assert row["ra"] == pytest.approx(0.0001, abs=1e-9) and row["dec"] == 10.0


def test_a_night_with_limits_only_is_where_the_object_is():
    _, rows = segments(SUPERNOVA)
    silent = [row for row in rows if row["n_alerts"] == 0 and all(p["kind"] == "limit" for p in points([row]))]
    assert silent
    for row in silent:
        assert row["ra"] == pytest.approx(OBJECTS[SUPERNOVA]["detections"][0]["ra"], abs=1e-3)
        assert row["healpix"] // 4**8 in {other["healpix"] // 4**8 for other in rows if other["n_alerts"]}


@pytest.mark.parametrize("policy", ["alerce_corr", "alerce_ext", "quadrature"])
def test_apparent_flux_from_corrected_magnitudes_is_the_kernel_s_from_the_reference(policy):
    with (DATA.parent / "alerce_corrected" / "detections.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["corrected"] == "True" and row["dubious"] == "False"]
    n = len(table)
    assert n > 20
    value = {name: np.array([float(row[name]) for row in table]) for name in ("magpsf", "sigmapsf", "magnr", "sigmagnr", "isdiffpos")}
    flux, error = photometry.apparent_flux_njy(
        value["magpsf"], value["sigmapsf"], value["isdiffpos"] > 0, value["magnr"], value["sigmagnr"], policy
    )
    names = ("magpsf", "sigmapsf", "magpsf_corr", "sigmapsf_corr", "sigmapsf_corr_ext", "mjd")
    records = [
        {name: float(row[name] or "nan") for name in names}
        | {"candid": row["candid"], "fid": int(row["fid"]), "isdiffpos": int(float(row["isdiffpos"])), "corrected": True, "has_stamp": True}
        for row in table
    ]
    made, rows = segments("ZTF18aaaaaaa", records, [], LightCurveSettings(apparent_flux_policy=policy))
    found = {p["source_id"]: p for p in points(rows)}
    n_errors = 0
    for i, row in enumerate(table):
        point = found[int(row["candid"])]
        assert point["apparent_flux_njy"] == pytest.approx(flux[i], rel=1e-4)
        if point["apparent_flux_err_njy"] is not None:
            n_errors += 1
            assert point["apparent_flux_err_njy"] == pytest.approx(error[i], rel=0.02)
    assert n_errors > n / 4


def test_an_uncorrected_object_has_no_apparent_flux():
    assert {p["apparent_flux_njy"] for p in points(segments("ZTF20aasiasa")[1])} == {None}


def test_each_classifier_gives_one_label_with_its_own_word_and_ours():
    rows = [dict(zip(LABELS.names, row, strict=True)) for row in label_rows(SUPERNOVA, OBJECTS[SUPERNOVA]["probabilities"], DAY)]
    assert rows == [
        _label("alerce:lc_classifier:bulk_0.0.1", "SNIa", "SNIa", 0.6),
        _label("alerce:lc_classifier_top:bulk_0.0.1", "Transient", None, 0.9),
    ]


def test_a_label_without_rank_is_the_most_probable_class():
    stated = [("SN", 0.2), ("AGN", 0.7), ("bogus", 0.1)]
    records = [_probability(name, p, ranking=None, classifier_name="stamp_classifier") for name, p in stated]
    assert [row[4:] for row in label_rows(SUPERNOVA, records, DAY)] == [("AGN", "AGN", 0.7)]


@pytest.mark.parametrize(("given", "kept"), [(1.0000000001, 1.0), (-1e-9, 0.0), (1.5, None), (None, None), (float("nan"), None)])
def test_a_probability_is_one_or_null(given, kept):
    assert [row[-1] for row in label_rows(SUPERNOVA, [_probability("SNIa", given)], DAY)] == [kept]


def test_a_label_that_is_new_to_us_keeps_its_word_and_has_no_class():
    assert [row[4:6] for row in label_rows(SUPERNOVA, [_probability("Rubin-special", 0.9)], DAY)] == [("Rubin-special", None)]


def test_classes_are_in_the_taxonomy_and_wider_ones_are_not_guessed():
    assert {name for name in CLASS_OF_LABEL.values() if name} <= set(CLASS_NAMES)
    assert not any(CLASS_OF_LABEL[wide] for wide in ("SLSN", "SN", "LPV", "CV/Nova", "Periodic-Other", "Transient", "asteroid", "bogus"))


def _probability(name, probability, ranking=1, classifier_name="lc_classifier") -> dict:
    return {
        "classifier_name": classifier_name,
        "classifier_version": "1.0",
        "class_name": name,
        "probability": probability,
        "ranking": ranking,
    }


def _label(source, label, ours, probability) -> dict:
    return dict(zip(LABELS.names, ("ztf", SUPERNOVA, source, DAY, label, ours, probability), strict=True))
