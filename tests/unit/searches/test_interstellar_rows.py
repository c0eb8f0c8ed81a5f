"""The Python passes of the search on Arrow batches: detections to tracklets to orbits, whatever patches and batches they come in."""

from __future__ import annotations

import datetime as dt
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.two_body import directions, eccentricity, sky_positions
from deeprubin_spark.schemas import INTERSTELLAR_CANDIDATES, TRACKLETS
from deeprubin_spark.searches import interstellar, moving_detections
from deeprubin_spark.searches.patches import by_group
from tests.unit.kernels.orbit_arcs import EPOCH, hyperbolic_states, random_states

NIGHT = dt.date(2018, 11, 29)  # MJD 58451
NIGHTS = {NIGHT - dt.timedelta(days=day): 58451.0 - day for day in (11, 5, 0)}


@pytest.fixture(scope="module")
def bodies():
    """Two bound and two unbound ones on the night side."""
    observer = observer_positions([58446.0])[0]
    chosen = []
    for states in (random_states(np.random.default_rng(1), 200), hyperbolic_states(np.random.default_rng(2), 400)):
        away = states[:, :3] - observer
        distance = np.linalg.norm(away, axis=1)
        chosen.append(states[(away @ observer > 0.6 * distance) & (distance < 3.5)][:2])
    return np.concatenate(chosen)


@pytest.fixture(scope="module")
def detections(bodies):
    """A pair of each body on each night, noise of 0.1 arcsec, and a known asteroid's pair."""
    rng, rows = np.random.default_rng(3), []
    for night, begin in NIGHTS.items():
        for k, state in enumerate(bodies):
            mjd = begin + np.array([0.30, 0.33])
            ra, dec = sky_positions(directions(np.tile(state, (2, 1)), mjd - EPOCH, observer_positions(mjd)))
            noise = rng.normal(0.0, 0.1 / 3600.0, (2, 2))
            for i in range(2):
                place = ra[i] + noise[0, i] / np.cos(np.radians(dec[i])), dec[i] + noise[1, i]
                rows.append(row(1000 * k + 10 * len(rows) + i, night, mjd[i], *place, None))
    rows += [row(90_000 + i, NIGHT, 58451.3 + 0.03 * i, 70.0 + 0.01 * i, 20.0, "433") for i in range(2)]
    return pa.RecordBatch.from_pylist(rows)


def row(source_id, night, mjd, ra, dec, known):
    plain = {"mag": 18.5, "mag_err": 0.05, "band": "g", "elongation": 1.1, "is_lonely": True, "known_object": known}
    return {"source_id": source_id, "object_id": f"ZTF{source_id}", "night": night, "mjd": mjd, "ra": float(ra), "dec": float(dec)} | plain


def tracklets_of(batches):
    spread = moving_detections._in_patches(batches)
    made = list(by_group(moving_detections._tracklets_of_patch, ["night", "patch"])(spread))
    return pa.Table.from_batches(made, TRACKLETS.arrow_schema()).sort_by("tracklet_id")


def orbits_of(tracklets, night=NIGHT):
    unknown = tracklets.filter(pc.is_null(tracklets["known_object"]))
    batches = unknown.append_column("search_night", pa.array([night] * unknown.num_rows, pa.date32())).to_batches()
    made = list(by_group(interstellar._orbits_of_patch, ["search_night", "patch"])(interstellar._in_patches(batches)))
    return pa.Table.from_batches(made, INTERSTELLAR_CANDIDATES.arrow_schema()).sort_by("candidate_id").to_pylist()


@pytest.fixture(scope="module")
def tracklets(detections):
    return tracklets_of([detections])


@pytest.fixture(scope="module")
def orbits(tracklets):
    return orbits_of(tracklets)


def test_every_pair_is_one_tracklet_however_many_patches_it_is_sent_to(tracklets, bodies):
    assert tracklets.num_rows == 3 * len(bodies) + 1
    assert [name for name in tracklets["known_object"].to_pylist() if name] == ["433"]
    assert set(tracklets["n_detections"].to_pylist()) == {2}
    assert tracklets["great_circle_rms"].null_count == tracklets.num_rows


def test_tracklets_do_not_depend_on_batches_and_order_of_rows(detections, tracklets):
    order = pa.array(np.random.default_rng(4).permutation(detections.num_rows))
    parts = pa.Table.from_batches([detections.take(order)]).to_batches(max_chunksize=5)
    assert tracklets_of(parts).equals(tracklets)


def test_each_body_is_one_link_with_its_orbit_and_unbound_ones_are_candidates(orbits, bodies, detections):
    found = {line["source_ids"][0] // 1000: line for line in orbits}
    assert len(orbits) == len(bodies) == len(found)
    for k, true in enumerate(eccentricity(bodies)):
        line = found[k]
        assert (line["night"], line["kind"], line["n_nights"], line["n_detections"]) == (NIGHT, "orbit", 3, 6)
        assert line["status"] == ("candidate" if k >= 2 else "set_aside")
        assert line["reason"] == (None if k >= 2 else "not_clearly_unbound")
        assert abs(line["eccentricity"] - true) < 3.0 * (line["eccentricity_high"] - line["eccentricity_low"]) + 0.01
        assert line["arc_days"] == pytest.approx(11.03, abs=0.01)
        assert 0.0 <= line["p_clearly_unbound"] <= line["p_unbound"] <= 1.0
        text = ",".join(str(one) for one in sorted(line["source_ids"]))
        assert line["candidate_id"] == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_link_belongs_to_the_night_of_its_last_tracklet(tracklets):
    earlier = tracklets.filter(pc.less(tracklets["night"], pa.scalar(NIGHT)))
    assert orbits_of(earlier) == []


def test_events_are_kept_or_vetoed_by_name():
    places = [(100.0, 60.0, 58451.3), (110.0, -5.0, 58451.3), (300.0, 60.0, 58451.005)]
    rows = [row(k, NIGHT, mjd, ra, dec, None) | {"elongation": 4.0} for k, (ra, dec, mjd) in enumerate(places)]
    made = list(by_group(interstellar._events_of_night, ["night"])([pa.RecordBatch.from_pylist(rows)]))
    lines = pa.Table.from_batches(made, INTERSTELLAR_CANDIDATES.arrow_schema()).to_pylist()
    assert [line["reason"] for line in lines] == [None, "satellite", "twilight"]
    assert [line["status"] for line in lines] == ["candidate", "set_aside", "set_aside"]
    assert all(line["p_unbound"] is None and line["tracklet_ids"] == [] for line in lines)
