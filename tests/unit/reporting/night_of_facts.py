"""A made-up night, complete and in balance, that tests change one thing of."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

from deeprubin_spark.reporting.facts import NightFacts, Outcome, PastNight, StepRun, Strange
from deeprubin_spark.reporting.search_facts import Candidate, Disc, Match, Ring, Search, Searches

NIGHT = dt.date(2018, 11, 29)
_START = dt.datetime(2018, 11, 30, 12, tzinfo=dt.timezone.utc)
_COUNTS = {
    "ingest_archive": {"members": 10, "kept": 8, "duplicates": 1, "excluded": 0, "quarantined": 0, "other_night": 1},
    "build_lightcurves": {"alerts": 8, "objects": 7, "detections": 20, "limits": 9},
    "extract_features": {"objects": 7, "ok": 4, "too_few_points": 3},
    "score_night": {"objects": 7, "scored": 4, "abstained": 3},
}
_SEARCHED = {
    "search_habitability": {"objects": 7, "events": 1, "with_host": 1},
    "search_technosignatures": {"objects": 7, "stars": 2, "candidates": 1},
    "match_catalogues": {"objects": 7, "matches": 1, "ambiguous": 1},
    "search_interstellar": {"alerts": 8, "detections": 5, "tracklets": 2, "links": 2, "links_kept": 1},
}


def step(job: str, hour: int = 0, **changes) -> StepRun:
    """A good run of a step that took 2 s and 1.6 core-seconds, `hour` hours after noon."""
    start = _START + dt.timedelta(hours=hour)
    made = StepRun(
        job=job,
        run_id=f"{job}-run",
        parent_run_id="parent-run",
        status="done",
        exit_code=0,
        message=None,
        started_at=start,
        finished_at=start + dt.timedelta(seconds=2),
        seconds=2.0,
        core_seconds=1.6,
        counts=dict((_COUNTS | _SEARCHED)[job]),
        model_version="model-1" if job == "score_night" else None,
        code_version="0.1.0",
        n_nights=1,
        first_night=NIGHT,
        last_night=NIGHT,
    )
    return dataclasses.replace(made, **changes)


def strange(object_id: str = "ZTF18abcdefg", rank: int = 1, sign: float = 1.0, **changes) -> Strange:
    """A supernova-like anomaly with 12 detections in g and r, two limits, and a posterior on 64 times."""
    times = [58440.0 + 2.0 * i for i in range(12)]
    points = [_detection(t, "gr"[i % 2], sign * _flux(t)) for i, t in enumerate(times)]
    points += [
        {"mjd": 58430.0 + i, "band": "r", "kind": "limit", "flux_njy": None, "flux_err_njy": None, "limit_njy": 9000.0} for i in range(2)
    ]
    grid = tuple(-20.0 + 0.6 * i for i in range(64))
    mean = tuple(sign * _flux(58450.0 + t) for t in grid)
    made = Strange(
        rank=rank,
        object_id=object_id,
        ra=150.1,
        dec=-2.2,
        score=0.71,
        explanation="Rises faster than 99 % of the night's objects.",
        contributions=({"feature": "rise_time_g", "value": 3.2, "share": 0.4}, {"feature": "peak_ratio", "value": None, "share": None}),
        class_status="scored",
        class_reason=None,
        class_name="SNIa",
        p_class=0.62,
        n_detections=12,
        n_limits=2,
        t_ref_mjd=58450.0,
        grid_time=grid,
        grid_mean=mean + mean,
        grid_sd=(800.0,) * 128,
        points=tuple(points),
    )
    return dataclasses.replace(made, **changes)


def candidate(object_id: str = "ZTF18abcdefg", rank: int = 1, **changes) -> Candidate:
    """One of a ranking, with the light curve of `strange`."""
    drawn = strange()
    words = {
        "why": f"odd in way {rank}",
        "natural_explanation": "not excluded: a star that flares",
        "would_confirm": "a spectrum",
        "would_refute": "a period",
    }
    curve = {name: getattr(drawn, name) for name in ("t_ref_mjd", "grid_time", "grid_mean", "grid_sd", "points")}
    return dataclasses.replace(Candidate(rank, object_id, 150.1, -2.2, **words, **curve), **changes)


def moving(rank: int = 1, n: int = 6, **changes) -> Candidate:
    """A body that moves 30 arcsec to the east and 12 to the north in each of `n` detections, two a night."""
    seen = tuple(
        {"mjd": 58451.0 + i // 2 + 0.02 * (i % 2), "ra": 10.0 + i * 30.0 / 3600.0, "dec": i * 12.0 / 3600.0, "band": "gr"[i % 2]}
        for i in range(n)
    )
    return candidate("9f8e7d6c5b4a3210", rank, points=(), grid_time=(), grid_mean=(), grid_sd=(), observations=seen, **changes)


def searches(**changes) -> Searches:
    """Of each search something: two explosions of three shown, a star, a body that moves and an event that was seen once, two places known."""
    rings = tuple(Ring(r + 0.5, 0.9 * math.exp(-r / 5.0), 0.5 * math.exp(-r / 5.0), math.exp(-r / 9.0), 0.04 * r, 0.1) for r in range(20))
    made = Searches(
        habitability=Search((candidate(), candidate("ZTF18hijklmn", 2)), 3),
        technosignatures=Search((candidate("ZTF18star"),), 1, {"period": 4, "bogus,known_asteroid": 1}),
        interstellar=Search((moving(), candidate("0123456789abcdef", 2, points=(), grid_time=())), 2, {"not_clearly_unbound": 3}),
        disc=Disc(NIGHT, NIGHT, {10: 0.6, 2000: 0.004}, rings),
        tracklets=5,
        known_tracklets=3,
        matches=(
            Match("ZTF18abcdefg", "TDE", "AT 2018abc", "tidal disruption event", 0.31, "match", "SNIa", 0.62),
            Match("ZTF18other", "3HSP", "3HSPJ004348.7-111607", "blazar", 1.2, "ambiguous", None, None),
        ),
        n_matches=2,
    )
    return dataclasses.replace(made, **changes)


def searched_night(**changes) -> NightFacts:
    """`night`, searched as `searches` says."""
    steps = tuple(step(job, hour) for hour, job in enumerate((*_COUNTS, *_SEARCHED)))
    return night(**{"steps": steps, "searches": searches()} | changes)


def night(**changes) -> NightFacts:
    """The night: 10 packets, 8 alerts kept, 7 objects, of which 4 scored and 2 ranked."""
    made = NightFacts(
        survey="ztf",
        night=NIGHT,
        steps=tuple(step(job, hour) for hour, job in enumerate(_COUNTS)),
        alerts=8,
        objects=7,
        first_seen=2,
        cells={10: 4, 2000: 3},
        brightness={("g", 38): 3, ("r", 37): 4, ("r", 39): 1},
        fits={"ok": 4, "too_few_points": 3},
        model_version="model-1",
        outcomes=(Outcome("scored", None, "SNIa", 3), Outcome("scored", None, "RRL", 1), Outcome("abstained", "too_few_points", None, 3)),
        gates=(Outcome("ranked", None, None, 2), Outcome("gated", "bogus,too_few_detections", None, 5)),
        past=(PastNight(dt.date(2018, 11, 10), 5, 2, 1),),
        strange=(strange(), strange("ZTF18hijklmn", 2, sign=-1.0)),
    )
    return dataclasses.replace(made, **changes)


def empty_night() -> NightFacts:
    """A night whose archive was empty, after all its steps."""
    zero = {job: dict.fromkeys(counts, 0) for job, counts in _COUNTS.items()}
    return NightFacts("ztf", NIGHT, steps=tuple(step(job, hour, counts=zero[job]) for hour, job in enumerate(_COUNTS)))


def _detection(mjd: float, band: str, flux: float) -> dict:
    return {"mjd": mjd, "band": band, "kind": "detection", "flux_njy": flux, "flux_err_njy": 900.0, "limit_njy": None}


def _flux(mjd: float) -> float:
    return 40000.0 * math.exp(-0.5 * ((mjd - 58450.0) / 8.0) ** 2) + 500.0
