"""The replayed sky: every part of it is the same wherever it is made, and no two objects of it are alike."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from deeprubin_spark.errors import UsageError
from deeprubin_spark.ingestion import replay_light_curves as light_curves
from deeprubin_spark.ingestion import replay_sky
from deeprubin_spark.ingestion.replay_sky import NEW_OBJECTS, Sky
from deeprubin_spark.kernels import nights
from deeprubin_spark.kernels.sky import healpix

NIGHT = dt.date(2026, 11, 20)
SKY = Sky(seed=1, n_known=4_000_000, history_nights=40, first_night=NIGHT)


@pytest.fixture(scope="module")
def some():
    """Objects from all over the sky, and their history."""
    of = light_curves.objects(SKY, np.arange(0, SKY.n_known, 3001))
    return of, light_curves.visits(SKY, of, replay_sky.history_days(SKY, of.field))


def test_objects_do_not_depend_on_the_batch_they_are_made_in(some):
    of, visits = some
    for chosen in (slice(0, 1), slice(5, 12), slice(1000, 1001)):
        alone = light_curves.objects(SKY, of.number[chosen])
        seen = light_curves.visits(SKY, alone, replay_sky.history_days(SKY, alone.field))
        assert all(np.array_equal(a, b[chosen]) for a, b in zip(alone, of, strict=True))
        assert all(np.array_equal(a, b[chosen]) for a, b in zip(seen, visits, strict=True))


def test_visits_do_not_depend_on_the_nights_asked_for(some):
    of, visits = some
    days = replay_sky.history_days(SKY, of.field)
    late = light_curves.visits(SKY, of, np.ascontiguousarray(days[:, -3:]))
    assert all(np.array_equal(a, b[:, -6:]) for a, b in zip(late, visits, strict=True))


def test_every_known_object_has_fifty_detections_on_thirty_nights(some):
    _, visits = some
    by_night = visits.is_detection.reshape(len(visits.jd), -1, replay_sky.VISITS)
    assert by_night.sum(axis=(1, 2)).min() >= 50
    assert by_night.any(axis=2).sum(axis=1).min() >= 30
    assert np.mean(~visits.is_detection) > 0.05, "and some limits"


def test_a_detection_is_five_sigma_from_zero_and_its_magnitude_is_its_flux(some):
    _, visits = some
    assert np.array_equal(visits.is_detection, np.abs(visits.flux) >= 5.0 * visits.flux_err)
    seen = visits.is_detection
    np.testing.assert_allclose(visits.magpsf[seen], 31.4 - 2.5 * np.log10(np.abs(visits.flux[seen])), atol=1e-5)
    np.testing.assert_allclose(visits.sigmapsf[seen], 1.0857362 * visits.flux_err[seen] / np.abs(visits.flux[seen]), rtol=1e-5)
    assert visits.sigmapsf[seen].max() < 0.218
    assert visits.magpsf[seen].min() > 12.0 and visits.magpsf[seen].max() < 22.5


def test_no_two_objects_are_alike(some):
    of, visits = some
    for values in (of.name.view("S12"), of.ra, visits.flux[:, 0], visits.candid):
        assert len(np.unique(values)) == values.size


def test_kinds_have_their_shares_of_the_sky(some):
    of, _ = some
    shares, n = light_curves.SHARES, len(of.kind)
    assert len(shares) == len(light_curves.KINDS) and shares.sum() == pytest.approx(1.0)
    assert set(of.kind) == set(range(len(light_curves.KINDS)))
    found = np.bincount(of.kind, minlength=len(shares)) / n
    assert np.all(np.abs(found - shares) < 5.0 * np.sqrt(shares * (1.0 - shares) / n))


def test_names_and_ids_look_like_the_surveys(some):
    of, visits = some
    assert all(
        name.startswith(b"ZTF") and name[3:5].isdigit() and name[5:].isalpha() and name.islower() is False
        for name in of.name.view("S12").ravel()
    )
    assert visits.candid.max() < 2**62
    assert np.array_equal(visits.candid // 10**15, visits.day - 57754)
    assert np.array_equal(nights.ztf_night(visits.jd.ravel()).astype("M8[D]"), nights.MJD_ZERO_DATE + visits.day.ravel())


def test_numbers_follow_the_sky(some):
    of, _ = some
    assert np.all(np.diff(healpix(of.ra, of.dec)) > 0)
    assert of.dec.min() > -42.0
    assert np.mean(of.dec > 0.0) == pytest.approx(0.75, abs=0.03), "two thirds of the sphere, of which the north is three quarters"


def test_exposures_are_those_of_the_field_so_objects_of_a_field_share_their_times():
    of = light_curves.objects(SKY, np.arange(20, dtype=np.int64))
    visits = light_curves.visits(SKY, of, replay_sky.history_days(SKY, of.field))
    assert len(np.unique(of.field)) == 1 and len(np.unique(visits.jd, axis=0)) == 1
    assert np.all(np.diff(visits.jd, axis=1) > 0)
    assert np.all(visits.fid.reshape(20, -1, 2).sum(axis=2) == 3), "g and r every night"


@pytest.mark.parametrize("n_alerts", [1, 7, 17, 100, 99_991])
def test_a_night_has_the_alerts_asked_for_whatever_parts_it_is_made_in(n_alerts):
    n = replay_sky.n_touched(n_alerts)
    whole = replay_sky.touched(SKY, NIGHT, n_alerts, 0.85, 0, n)
    assert whole.n_alerts.sum() == n_alerts and whole.n_alerts.min() >= 1
    cuts = [0, n // 3, n // 2, n]
    parts = [replay_sky.touched(SKY, NIGHT, n_alerts, 0.85, a, b) for a, b in zip(cuts, cuts[1:], strict=False)]
    assert np.array_equal(np.concatenate([part.objects for part in parts]), whole.objects)
    assert np.array_equal(np.concatenate([part.n_alerts for part in parts]), whole.n_alerts)


def test_four_fifths_of_a_nights_alerts_are_on_known_objects_of_the_sky_it_observes():
    n_alerts = 100_000
    night = replay_sky.touched(SKY, NIGHT, n_alerts, 0.85, 0, replay_sky.n_touched(n_alerts))
    known = night.objects < NEW_OBJECTS
    assert len(np.unique(night.objects)) == len(night.objects)
    assert 0.8 <= night.n_alerts[known].sum() / n_alerts <= 0.9
    assert n_alerts / len(night.objects) == pytest.approx(1.3, abs=0.02)
    observed = replay_sky.is_observed(replay_sky.mjd_of(NIGHT))
    assert observed[replay_sky.fields(SKY, night.objects)].all()
    assert observed.mean() == pytest.approx(1 / 3, abs=0.05)
    assert len(np.unique(replay_sky.object_names(SKY, night.objects), axis=0)) == len(night.objects)


def test_later_nights_touch_the_known_objects_of_other_fields_and_new_objects_of_their_own():
    touched = [replay_sky.touched(SKY, NIGHT + dt.timedelta(days=i), 1000, 0.85, 0, replay_sky.n_touched(1000)).objects for i in range(4)]
    assert len(np.unique(np.concatenate(touched))) > 3.9 * len(touched[0])
    assert not set(touched[0][touched[0] >= NEW_OBJECTS]) & set(touched[3])


def test_another_seed_is_another_sky(some):
    of, _ = some
    other = light_curves.objects(Sky(2, SKY.n_known, 40, NIGHT), of.number)
    assert not np.any(other.ra == of.ra) and not np.any(other.scale == of.scale)


def test_a_new_object_is_seen_first_on_its_night():
    new = replay_sky.touched(SKY, NIGHT, 2000, 0.0, 0, 1000).objects
    of = light_curves.objects(SKY, new)
    day = replay_sky.mjd_of(NIGHT)
    days = np.broadcast_to(day - 3 * np.arange(10, -1, -1), (len(new), 11))
    visits = light_curves.visits(SKY, of, np.ascontiguousarray(days))
    assert not visits.is_detection[:, :-2].any() and visits.is_detection[:, -2:].all()


def test_a_replay_knows_its_own_objects():
    names = replay_sky.object_names(SKY, np.array([17]))
    assert replay_sky.is_replayed(names.tobytes().decode(), 3610158080000000017)
    assert not replay_sky.is_replayed("ZTF18acsbjpg", 697251920515010009)
    assert not replay_sky.is_replayed("ZTF18acsbjpg", None)


@pytest.mark.parametrize(
    ("sky", "night", "n_alerts", "says"),
    [
        (SKY, NIGHT - dt.timedelta(days=1), 10, "expected that night or a later one"),
        (SKY, NIGHT, -1, "expected 0 alerts or more"),
        (SKY, NIGHT, 10_000_000, "more known objects, please"),
        (Sky(1, 0, 0, dt.date(2031, 1, 1)), dt.date(2031, 1, 1), 10, "2017-01-02 to 2029-08-16"),
        (Sky(1, 0, 0, NIGHT), NIGHT, 20_000_000, "leave no room for their names"),
    ],
)
def test_a_night_that_cannot_be_is_refused(sky, night, n_alerts, says):
    with pytest.raises(UsageError, match=says):
        replay_sky.check_night(sky, night, n_alerts, 0.85 if sky.n_known else 0.0)


def test_a_sky_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match="known objects"):
        Sky(1, -1, 40, NIGHT)
    with pytest.raises(UsageError, match="history nights"):
        Sky(1, 10, 0, NIGHT)
