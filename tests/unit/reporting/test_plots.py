import math
import re
from xml.etree import ElementTree

import pytest

from deeprubin_spark.reporting import svg
from deeprubin_spark.reporting.band_style import BAND_STYLES
from deeprubin_spark.reporting.light_curve_plot import curve, plot
from deeprubin_spark.reporting.night_plots import brightness_histogram, sky_map
from tests.unit.reporting.night_of_facts import strange


def _elements(picture, class_):
    return [element for element in ElementTree.fromstring(picture).iter() if class_ in element.get("class", "").split()]


def test_brighter_points_stand_higher_on_a_magnitude_axis():
    drawn = plot(curve(strange()), "a")
    rows = [float(circle.get("cy")) for circle in _elements(drawn, "point") if circle.tag == "circle"]
    by_brightness = [m.flux for m in curve(strange()).measurements if m.band == "g"]
    assert sorted(range(6), key=lambda i: rows[i]) == sorted(range(6), key=lambda i: -by_brightness[i])


def test_each_band_keeps_its_marker():
    drawn = plot(curve(strange()), "a")
    assert {e.tag for e in _elements(drawn, "point") if "band-g" in e.get("class")} == {"circle"}
    assert {e.tag for e in _elements(drawn, "point") if "band-r" in e.get("class")} == {"rect"}
    assert (BAND_STYLES["g"].marker, BAND_STYLES["r"].marker, BAND_STYLES["i"].marker) == ("circle", "square", "diamond")


def test_every_detection_has_an_error_bar_and_every_limit_a_triangle_pointing_down():
    drawn = plot(curve(strange()), "a")
    assert (len(_elements(drawn, "point")), len(_elements(drawn, "error")), len(_elements(drawn, "limit"))) == (12, 12, 2)
    corners = [tuple(map(float, pair.split())) for pair in re.findall(r"[-\d.]+ [-\d.]+", _elements(drawn, "limit")[0].get("d"))]
    assert corners[2][1] > corners[0][1] == corners[1][1]


def test_an_object_fainter_than_its_reference_keeps_all_its_points_in_a_flux_panel():
    shown = curve(strange(sign=-1.0))
    drawn = plot(shown, "a")
    assert "flux, µJy" in drawn
    assert len(_elements(drawn, "point")) == 12  # none has a magnitude, all have a flux
    assert "flux, µJy" not in plot(curve(strange()), "a")


def test_the_posterior_band_is_drawn_in_the_bands_that_were_measured():
    assert {e.get("class") for e in _elements(plot(curve(strange()), "a"), "ribbon")} == {"ribbon band-g", "ribbon band-r"}
    only_g = tuple(p for p in strange().points if p["band"] == "g")
    assert {e.get("class") for e in _elements(plot(curve(strange(points=only_g)), "a"), "ribbon")} == {"ribbon band-g"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_a_point_without_a_number_is_left_out(bad):
    points = [dict(p) for p in strange().points]
    points[0]["flux_njy"] = bad
    drawn = plot(curve(strange(points=tuple(points))), "a")
    assert len(_elements(drawn, "point")) == 11
    assert "nan" not in drawn.lower()


def test_one_point_alone_can_be_drawn():
    assert len(_elements(plot(curve(strange(points=strange().points[:1], grid_time=(), grid_mean=(), grid_sd=())), "a"), "point")) == 1


def test_an_object_without_points_has_no_picture():
    assert plot(curve(strange(points=())), "a") == ""


def test_the_aitoff_map_keeps_the_equator_and_the_central_meridian_to_scale():
    assert svg.aitoff(0.0, 0.0) == (0.0, 0.0)
    assert svg.aitoff(180.0, 0.0) == pytest.approx((math.pi, 0.0))
    assert svg.aitoff(90.0, 0.0) == pytest.approx((math.pi / 2, 0.0))
    assert svg.aitoff(0.0, 45.0) == pytest.approx((0.0, math.pi / 4))
    assert svg.aitoff(37.0, 90.0) == pytest.approx((0.0, math.pi / 2))


def test_ticks_are_round_and_inside():
    assert svg.ticks(58431.2, 58469.9, 5) == [58440.0, 58450.0, 58460.0]
    assert svg.tick_texts(svg.ticks(17.9, 19.1, 5)) == [(18.0, "18.0"), (18.5, "18.5"), (19.0, "19.0")]
    assert svg.ticks(1.0, 1.0, 5) == []
    assert svg.ticks(math.nan, 1.0, 5) == []


def test_every_cell_of_the_sky_has_a_place_on_the_map():
    drawn = ElementTree.fromstring(sky_map(dict.fromkeys(range(3072), 1)))
    cells = [e.get("d") for e in drawn.iter() if e.get("class", "").startswith("cell")]
    assert len(cells) == 3072
    x_spans = [[float(pair.split()[0]) for pair in re.findall(r"[-\d.]+ [-\d.]+", d)] for d in cells]
    assert max(max(xs) - min(xs) for xs in x_spans) < 60.0  # no cell is smeared across the map's edge


def test_the_histogram_draws_a_marker_for_each_filled_bin():
    drawn = brightness_histogram({("g", 38): 3, ("r", 37): 4, ("r", 39): 1})
    assert [e.get("class") for e in _elements(drawn, "point")] == ["point band-g", "point band-r", "point band-r"]
    assert brightness_histogram({}) == ""
