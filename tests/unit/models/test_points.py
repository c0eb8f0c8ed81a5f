from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from deeprubin_spark.bands import BAND_NAMES, BANDS
from deeprubin_spark.kernels.measurements import DETECTION, KINDS, LIMIT, MODEL_RECORD
from deeprubin_spark.models.points import (
    TOKEN,
    Points,
    from_records,
    hidden_points,
    information,
    most_informative,
    noise_pattern,
    redrawn_points,
    tokens,
    wavelength_code,
)
from tests.unit.models.synthetic_curves import curves


def one(mjd, flux, error, wavelength=6223.0, detected=True) -> Points:
    n = len(mjd)
    return Points(
        np.array([0, n]),
        np.asarray(mjd, float),
        np.full(n, wavelength),
        np.asarray(flux, float),
        np.asarray(error, float),
        np.full(n, detected),
    )


def column(made, name):
    return made.values[..., TOKEN.index(name)].numpy()


def test_a_token_is_what_the_docstring_says():
    made = tokens(one([10.0, 19.0, 20.0], [3e4, -2e4, 1e4], [1e3, 2e3, 1e4]))
    # weights 1, 1 and (1 / 5)^2: half of 2.04 is reached at |f| = 2e4
    assert made.scale.numpy() == pytest.approx([2e4])
    assert column(made, "flux")[0] == pytest.approx(np.arcsinh([1.5, -1.0, 0.5]))
    assert column(made, "error")[0] == pytest.approx([1 / 21, 1 / 11, 1 / 3])
    assert column(made, "log_sn")[0] == pytest.approx(0.5 * np.log10([901.0, 101.0, 2.0]))
    assert column(made, "gap")[0] == pytest.approx(np.log10([1.0, 10.0, 2.0]))
    assert column(made, "log_scale")[0] == pytest.approx(np.log10([2.0] * 3))
    assert made.weight[0].numpy() == pytest.approx([1.0, 1.0, 0.04])
    assert made.time[0].numpy() == pytest.approx([0.0, 9.0, 10.0])


def test_information_saturates_at_five_sigma():
    assert information(np.array([0.0, 1.0, -2.5, 5.0, 900.0]), np.ones(5)) == pytest.approx([0.0, 0.04, 0.25, 1.0, 1.0])


def test_tokens_of_an_object_do_not_depend_on_order_neighbours_or_padding():
    points, _ = curves(7, 1, "ugrizy")
    shuffled = points.take(np.lexsort((np.random.default_rng(0).random(len(points.mjd)), points.owner)))
    whole = tokens(most_informative(points))
    for field in dataclasses.fields(whole):
        assert torch.equal(getattr(tokens(most_informative(shuffled)), field.name), getattr(whole, field.name))
    a, b = points.offsets[3:5]
    flat = (points.mjd, points.wavelength, points.flux, points.flux_err, points.is_detection)
    alone = tokens(most_informative(Points(np.array([0, b - a]), *(values[a:b] for values in flat))))
    n = alone.values.shape[1]
    assert torch.equal(alone.values[0], whole.values[3, :n]) and torch.equal(alone.time[0], whole.time[3, :n])
    assert not whole.given[3, n:].any() and not whole.values[3, n:].any()


def test_a_brighter_copy_differs_only_in_its_scale():
    points, _ = curves(4, 2)
    bright = dataclasses.replace(points, flux=8.0 * points.flux, flux_err=8.0 * points.flux_err)
    faint, made = tokens(most_informative(points)), tokens(most_informative(bright))
    same = [i for i, name in enumerate(TOKEN) if name != "log_scale"]
    torch.testing.assert_close(made.values[..., same], faint.values[..., same])
    torch.testing.assert_close(made.scale, 8.0 * faint.scale)


def test_noise_around_a_transient_hardly_moves_its_scale_and_one_outlier_neither():
    bright, rng = np.full(9, 5e4), np.random.default_rng(3)
    alone = tokens(one(np.arange(9.0), bright, np.full(9, 1e3))).scale
    noise = 1e3 * rng.standard_normal(100)
    buried = tokens(one(np.arange(109.0), np.concatenate([bright, noise]), np.full(109, 1e3))).scale
    struck = tokens(one(np.arange(10.0), np.append(bright, 1e9), np.full(10, 1e3))).scale
    assert alone.item() == buried.item() == struck.item() == 5e4


def test_of_too_many_points_the_most_telling_stay_and_among_equals_the_latest():
    mjd = np.arange(10.0)
    flux = np.array([0.1, 9.0, 9.0, 1.0, 9.0, 0.2, 3.0, 0.3, 9.0, 9.0])
    kept = most_informative(one(mjd, flux, np.ones(10)), 4)
    assert kept.mjd.tolist() == [2.0, 4.0, 8.0, 9.0]
    assert most_informative(one(mjd, flux, np.ones(10)), 6).mjd.tolist() == [1.0, 2.0, 4.0, 6.0, 8.0, 9.0]
    points, _ = curves(5, 4)
    cut = most_informative(points, 20)
    assert np.diff(cut.offsets).tolist() == np.minimum(np.diff(points.offsets), 20).tolist()
    assert all((np.diff(cut.mjd[a:b]) >= 0).all() for a, b in zip(cut.offsets, cut.offsets[1:], strict=False))


def test_redrawing_spreads_fluxes_by_what_it_adds_to_their_errors():
    points = one(np.arange(20_000.0), np.zeros(20_000), np.full(20_000, 7.0))
    normal = np.random.default_rng(5).standard_normal(20_000)
    moved = redrawn_points(points, normal, np.array([0.75]))
    assert moved.flux.std() == pytest.approx(0.75 * 7.0, rel=0.02)
    assert moved.flux_err == pytest.approx(np.full(20_000, 7.0 * 1.25))
    np.testing.assert_array_equal(redrawn_points(points, normal, np.array([0.0])).flux, points.flux)


def test_the_noise_pattern_of_an_object_is_its_own_wherever_it_stands():
    points, _ = curves(9, 10)
    pattern = noise_pattern(points, 3)
    for a, b in zip(points.offsets, points.offsets[1:], strict=False):
        np.testing.assert_array_equal(pattern[a:b], np.random.default_rng(3).standard_normal(256)[: b - a])


def test_a_hidden_point_tells_when_and_in_which_band_and_nothing_of_its_flux():
    points = one([0.0, 1.0, 2.0, 3.0], [100.0, 3e4, 2e4, 1e4], [10.0, 10.0, 10.0, 10.0])
    hidden = np.array([True, False, False, True])
    made = tokens(points, hidden)
    other = tokens(dataclasses.replace(points, flux=np.where(hidden, -5.0, points.flux), flux_err=np.where(hidden, 99.0, 10.0)), hidden)
    for name in ("values", "wavelength", "time", "weight", "given", "hidden", "scale"):
        assert torch.equal(getattr(made, name), getattr(other, name)), name
    assert made.given[0].tolist() == [False, True, True, False] and made.weight[0].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert made.flux[0].numpy() == pytest.approx(points.flux / made.scale.item())
    assert made.sd[0].numpy() == pytest.approx(points.flux_err / made.scale.item())
    assert made.gap()[0].tolist() == [0.0, 1.0, 1.0, 1.0]


def test_hidden_are_a_random_share_and_each_object_s_latest_points():
    points = most_informative(curves(400, 6)[0])
    uniform = np.random.default_rng(7).random(len(points.mjd))
    assert hidden_points(points, uniform, latest_share=0.0).mean() == pytest.approx(0.3, abs=0.02)
    late = hidden_points(points, uniform, random_share=0.0)
    for a, b in zip(points.offsets, points.offsets[1:], strict=False):
        assert late[a:b].sum() == (b - a) // 5 and not np.any(np.diff(late[a:b].astype(int)) < 0)


def test_tokens_blind_to_errors_are_those_of_any_errors():
    points = most_informative(curves(6, 8)[0])
    rng = np.random.default_rng(9)
    other = dataclasses.replace(points, flux_err=points.flux_err * rng.uniform(0.1, 10.0, len(points.mjd)))
    blind = tokens(points, sees_errors=False)
    for field in dataclasses.fields(blind):
        assert torch.equal(getattr(blind, field.name), getattr(tokens(other, sees_errors=False), field.name)), field.name
    assert not torch.equal(tokens(points).values, tokens(other).values)


def test_objects_without_points_or_flux_have_finite_tokens():
    flat = np.array([1.0, 2.0])
    points = Points(np.array([0, 0, 2]), flat, np.full(2, 5000.0), np.zeros(2), np.full(2, 3.0), np.zeros(2, bool))
    made = tokens(most_informative(points))
    assert made.values.isfinite().all() and made.given.sum(dim=1).tolist() == [0, 2]
    assert made.scale.tolist() == [1.0, 3.0]
    assert tokens(points, sees_errors=False).scale.tolist() == [1.0, 1.0]
    assert tokens(Points(np.array([0, 0]), *(np.zeros(0) for _ in range(4)), np.zeros(0, bool))).values.shape == (1, 1, len(TOKEN))


def test_wavelength_code_is_scipy_s_legendre_polynomials_and_tells_bands_apart():
    from scipy.special import eval_legendre

    wavelength = np.array([band.wavelength for band in BANDS])
    x = 2.0 * np.log(wavelength / 3000.0) / np.log(11000.0 / 3000.0) - 1.0
    code = wavelength_code(wavelength)
    np.testing.assert_allclose(code, np.stack([eval_legendre(k, x) for k in (1, 2, 3)], axis=1), atol=1e-12)
    assert np.abs(code[:, None] - code)[~np.eye(6, dtype=bool)].max(axis=1).min() > 0.1


def test_records_of_the_features_table_become_points():
    records = np.zeros(5, MODEL_RECORD)
    records["mjd"], records["band"] = np.arange(5.0), [BAND_NAMES.index(b) for b in "gryrg"]
    records["flux_njy"], records["flux_err_njy"] = [100.0, np.nan, -60.0, 40.0, np.nan], [10.0, np.nan, 10.0, 10.0, 5.0]
    records["limit_njy"] = [50.0, 80.0, np.nan, np.nan, np.nan]
    records["kind"] = [DETECTION, LIMIT, KINDS.index("forced"), KINDS.index("forced"), DETECTION]
    points = from_records(records, np.array([0, 2, 5]))
    assert points.offsets.tolist() == [0, 1, 3] and points.flux.tolist() == [100.0, -60.0, 40.0]
    assert points.wavelength.tolist() == [4827.0, 9712.0, 6223.0]
    assert points.is_detection.tolist() == [True, True, False]  # forced photometry of 6 and of 4 sigma
    limits = from_records(records, np.array([0, 2, 5]), with_limits=True)
    assert limits.offsets.tolist() == [0, 2, 4] and limits.flux[1] == 0.0 and limits.flux_err[1] == pytest.approx(16.0)
    assert not limits.is_detection[1]


def test_unusable_points_and_points_out_of_order_are_refused():
    with pytest.raises(ValueError, match="error > 0 expected, 1 without, the first at 1"):
        one([1.0, 2.0], [1.0, 2.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="2 of each expected"):
        Points(np.array([0, 2]), np.zeros(2), np.zeros(1), np.zeros(2), np.ones(2), np.zeros(2, bool))
    with pytest.raises(ValueError, match="most_informative"):
        tokens(one([2.0, 1.0], [1.0, 2.0], [1.0, 1.0]))
