"""From alerts to tracklets, links with orbits and single events: on the carried night, and on made-up bodies put among its alerts."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from deeprubin_spark.jobs import ingest_archive, search_interstellar
from pyspark.sql import functions as F

from deeprubin_spark import cli
from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.two_body import directions, eccentricity, sky_positions
from deeprubin_spark.schemas import ALERTS_ZTF, INTERSTELLAR_CANDIDATES, TRACKLETS
from tests.contract_rows import frame_of, row_of
from tests.unit.kernels.orbit_arcs import EPOCH, hyperbolic_states, random_states

NIGHT = dt.date(2018, 11, 29)  # MJD 58451
DAYS = (0.0, 5.0, 11.0)  # before NIGHT
JOB = cli.parser("", "search_interstellar", cli.add_nights)


def search(run):
    search_interstellar.run(run, JOB.parse_args(["--night", NIGHT.isoformat()]))
    return run


def rows_of(warehouse, table):
    return [row.asDict(recursive=True) for row in warehouse.read(table).orderBy(*table.key).collect()]


def made_up(first_candid: int, state: np.ndarray, seed: int):
    """Alert rows of one body: pairs on three nights, noise of 0.1 arcsec."""
    rng = np.random.default_rng(seed)
    mjd = np.array([58451.0 - day + 0.30 + k * 0.03 for day in DAYS[::-1] for k in (0, 1)])
    ra, dec = sky_positions(directions(np.tile(state, (6, 1)), mjd - EPOCH, observer_positions(mjd)))
    ra, dec = ra + rng.normal(0, 0.1 / 3600, 6) / np.cos(np.radians(dec)), dec + rng.normal(0, 0.1 / 3600, 6)
    for k in range(6):
        night = NIGHT - dt.timedelta(days=58451 - int(mjd[k]))
        yield alert(first_candid + k, night, mjd[k], ra[k], dec[k], fid=1 + k % 2)


def alert(candid, night, mjd, ra, dec, **values):
    mjd, ra, dec = float(mjd), float(ra), float(dec)  # Spark takes no numpy numbers
    plain = {"isdiffpos": "t", "rb": 0.9, "ndethist": 1, "magpsf": 18.5, "sigmapsf": 0.05, "exptime": 30.0, "fid": 2, "elong": 1.1}
    return row_of(
        ALERTS_ZTF,
        **{"candid": candid, "night": night, "objectId": f"ZTF{candid}", "ra": ra, "dec": dec, "jd": mjd + 2400000.5 - 15.0 / 86400.0}
        | plain
        | values,
    )


def opposite_the_sun(states: np.ndarray) -> np.ndarray:
    observer = observer_positions([58446.0])[0]
    away = states[:, :3] - observer
    return states[(away @ observer > 0.6 * np.linalg.norm(away, axis=1)) & (np.linalg.norm(away, axis=1) < 3.5)]


@pytest.fixture(scope="module")
def bodies():
    bound, unbound = random_states(np.random.default_rng(1), 200), hyperbolic_states(np.random.default_rng(2), 400)
    return np.concatenate([opposite_the_sun(bound)[:2], opposite_the_sun(unbound)[:2]])


@pytest.fixture
def sky(spark, warehouse, bodies):
    """Two bound and two unbound bodies; a star; a known asteroid's pair; three elongated events, two of them vetoed."""
    rows = [row for k, state in enumerate(bodies) for row in made_up(1000 + 10 * k, state, k)]
    rows += [alert(2000 + k, NIGHT, 58451.3 + 0.03 * k, 60.0, 20.0, distpsnr1=0.3, sgscore1=0.99) for k in range(2)]
    known = {"ssnamenr": "433", "ssdistnr": 1.0}
    rows += [alert(3000 + k, NIGHT, 58451.3 + 0.03 * k, 70.0 + 0.01 * k, 20.0, **known) for k in range(2)]
    rows += [
        alert(4000, NIGHT, 58451.3, 100.0, 60.0, elong=4.0),
        alert(4001, NIGHT, 58451.3, 110.0, -5.0, elong=4.0),
        alert(4002, NIGHT, 58451.005, 300.0, 60.0, elong=4.0),
        alert(4003, NIGHT, 58451.3, 120.0, 60.0, elong=4.0, distnr=1.0),
    ]
    for night in {row[ALERTS_ZTF.names.index("night")] for row in rows}:
        part = [row for row in rows if row[ALERTS_ZTF.names.index("night")] == night]
        warehouse.replace_slice(ALERTS_ZTF, frame_of(spark, ALERTS_ZTF, part), "test", nights=[night])


def test_bodies_are_found_with_their_orbits_and_the_unbound_ones_are_candidates(sky, new_run, warehouse, bodies):
    before = [NIGHT - dt.timedelta(days=int(day)) for day in DAYS]
    search(new_run("search_interstellar", *sorted(before)))
    tracklets, found = rows_of(warehouse, TRACKLETS), rows_of(warehouse, INTERSTELLAR_CANDIDATES)
    assert sorted(row["known_object"] for row in tracklets if row["known_object"]) == ["433"]
    assert len(tracklets) == 3 * len(bodies) + 1
    orbits = {row["source_ids"][0] // 10 - 100: row for row in found if row["kind"] == "orbit"}
    assert sorted(orbits) == [0, 1, 2, 3]
    for k, true in enumerate(eccentricity(bodies)):
        row = orbits[k]
        assert row["night"] == NIGHT
        assert row["source_ids"] == list(range(1000 + 10 * k, 1006 + 10 * k))
        assert (row["n_nights"], row["n_detections"], len(row["tracklet_ids"])) == (3, 6, 3)
        assert row["status"] == ("candidate" if k >= 2 else "set_aside")
        assert row["reason"] == (None if k >= 2 else "not_clearly_unbound")
        width = row["eccentricity_high"] - row["eccentricity_low"]
        assert abs(row["eccentricity"] - true) < 3.0 * width + 0.01
        assert row["arc_days"] == pytest.approx(11.03, abs=0.01)
    events = {row["source_ids"][0]: row["reason"] for row in found if row["kind"] == "single"}
    assert events == {4000: None, 4001: "satellite", 4002: "twilight"}

    again = search(new_run("search_interstellar", NIGHT))
    assert rows_of(warehouse, INTERSTELLAR_CANDIDATES) == found, "a night that is searched again is the same"
    assert (again.counts["links"], again.counts["links_kept"], again.counts["single_events_kept"]) == (4, 2, 1)


def test_on_the_real_night_known_asteroids_seen_once_make_no_tracklet(new_run, warehouse):
    ingest_archive.run(new_run("ingest_archive", NIGHT), parsed(ingest_archive.add_flags))
    run = search(new_run("search_interstellar", NIGHT))
    known = warehouse.read(TRACKLETS).where(F.col("known_object").isNotNull()).count()
    times_seen = (
        warehouse.read(ALERTS_ZTF)
        .where("ssdistnr BETWEEN 0 AND 5 AND ndethist <= 2 AND isdiffpos = 't' AND coalesce(drb, rb) >= 0.55")
        .groupBy("ssnamenr")
        .agg(F.count_distinct("jd").alias("n"))
    )
    assert [(row["n"], row["count"]) for row in times_seen.groupBy("n").count().collect()] == [(1, 77)]
    assert run.counts["alerts"] == 370
    assert run.counts["links"] == 0, "one night makes no orbit"
    assert known == 0, "each known asteroid was seen once"


def parsed(add_flags):
    return cli.parser("", "ingest_archive", add_flags).parse_args(["--night", NIGHT.isoformat()])
