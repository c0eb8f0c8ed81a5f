"""Injected shapes: what is added, to what, and that the louder ones are found."""

import json

import numpy as np
import pytest

from deeprubin_spark.models import published
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.training import injection_study as study

TIMES = np.sort(np.random.default_rng(1).uniform(58_000.0, 58_060.0, 40))


def curves(n: int) -> list[study.Curve]:
    """Bumps in g and r with errors of a tenth of their peak."""
    rng, made = np.random.default_rng(2), []
    for _ in range(n):
        mjd = np.sort(rng.uniform(58_000.0, 58_060.0, 24))
        err = np.full(24, 100.0)
        flux = 1000.0 * np.exp(-0.5 * ((mjd - 58_030.0 + rng.normal()) / 8.0) ** 2) + err * rng.normal(size=24)
        made.append(study.Curve(mjd, np.tile(np.array([1, 2], np.int8), 12), flux, err))
    return made


@pytest.mark.parametrize("shape", study.SHAPES.values(), ids=study.SHAPES)
def test_a_shape_stays_within_one_and_moves(shape):
    for phase in (0.0, 0.4, 0.99):
        made = shape(TIMES, phase)
        assert np.abs(made).max() <= 1.0 and np.ptp(made) >= 1.0


def test_a_shape_is_added_in_median_errors_and_nothing_else_changes():
    (curve,) = curves(1)
    made = study.injected(curve, study.step, 5.0, 0.5)
    added = made.flux - curve.flux
    assert set(np.round(added, 9)) == {0.0, 500.0}
    assert made.mjd is curve.mjd and made.flux_err is curve.flux_err


def test_a_fake_is_the_difference_from_its_median_flux(tmp_path):
    (tmp_path / "one.csv").write_text("mjd,mag,magerr,clrcoeff\n58002.0,18.9,0.1,0.1\n58001.0,18.9,0.1,0.1\n58003.0,16.4,0.1,0.1\n")
    made = study.fake(tmp_path / "one.csv")
    np.testing.assert_allclose(made.flux, [0.0, 0.0, 9e5], rtol=1e-12)
    np.testing.assert_allclose(made.flux_err, np.array([1e5, 1e5, 1e6]) * 0.1 * np.log(10) / 2.5)
    assert made.mjd.tolist() == [58001.0, 58002.0, 58003.0]
    (tmp_path / "two.csv").write_text("mjd,flux,x\n1,2,1\n3,4,1\n")
    with pytest.raises(ValueError, match="columns mjd, mag, magerr"):
        study.fake(tmp_path / "two.csv")


def test_loud_shapes_are_found_and_usual_curves_are_not(tmp_path):
    rule = rule_of("ztf")
    model = published.load(published.find("", rule.contract), rule.contract)
    told = {"command": "deeprubin-study-injections", "commit": "0" * 40, "data_sha256": "0" * 64, "note": ""}
    fakes = {"usual": curves(3)[2], "wild": study.injected(curves(1)[0], study.alternating, 50.0, 0.0)}
    result = study.run(model, curves(120), fakes, [1], told, tmp_path / "results" / "study-injections.json")
    assert json.loads((tmp_path / "results" / "study-injections.json").read_text()) == result
    rows = {row["name"]: row for row in result["rows"]}
    loud, faint = (rows["all shapes"][f"errors_{a}"]["mean"] for a in (20, 1))
    assert loud > 0.5 > 0.2 > faint
    assert rows["fake: usual"]["reached"]["mean"] > 0.05 > rows["fake: wild"]["reached"]["mean"]
