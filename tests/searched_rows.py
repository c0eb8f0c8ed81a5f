"""Rows that the searches of a made-up night left: of each search something that it kept, and what it set aside."""

from __future__ import annotations

import datetime as dt

from deeprubin_spark.schemas import (
    CATALOGUE_MATCHES,
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_RING,
    INTERSTELLAR_CANDIDATES,
    TECHNOSIGNATURE_CANDIDATES,
    TRACKLETS,
)
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.schemas.moving import OBSERVATION
from tests.contract_rows import record_of, row_of

Rows = list[tuple[Table, list[tuple]]]


def searched(night: dt.date, model: str, likely: str, star: str) -> Rows:
    """`likely`: the object that may be an explosion, by `model` and by one more; `star`: the one that a test finds odd."""
    keys = {"survey": "ztf", "night": night}
    event = keys | {"ra": 1.0, "dec": 2.0, "kind": "SNIa", "energy_erg": 1e51, "d_crit_pc": 11.0, "p_ia": 0.6, "p_slsn": 0.05}
    event |= {"p_ii": 0.0, "p_ibc": 0.0, "p_kilonova": 0.0}
    hosted = {"host": "NGC 3034", "host_probability": 0.98, "host_distance_mpc": 3.6, "offset_kpc": 2.1, "absolute_magnitude": -18.2}
    window = {"survey": "ztf", "first_night": night - dt.timedelta(days=3), "night": night + dt.timedelta(days=3), "model_version": model}
    pixel = window | {"nights": 1, "exposure": 1.0, "n_cc": 0.25, "n_slsn": 0.0}
    ring = window | {"rate_ia": 1.0, "rate_cc": 1.0, "star_density": 0.1, "f_metal": 0.5}
    ring |= {"p_kill_1gyr": 0.3, "p_kill_1gyr_lo": 0.2, "p_kill_1gyr_hi": 0.4, "ghz_index": 0.35}
    return [
        (
            HABITABILITY_EVENT,
            [
                row_of(HABITABILITY_EVENT, **event | hosted, object_id=likely, model_version=model),
                row_of(HABITABILITY_EVENT, **event | {"p_ia": 0.2}, object_id="weaker", model_version=model),
                row_of(HABITABILITY_EVENT, **event, object_id="another model's", model_version="model-1"),
            ],
        ),
        (
            HABITABILITY_HEALPIX,
            [row_of(HABITABILITY_HEALPIX, **pixel, healpix=(7 << 4) + i, n_ia=0.5) for i in range(2)]
            + [row_of(HABITABILITY_HEALPIX, **pixel, healpix=9 << 4, n_ia=0.0)],
        ),
        (HABITABILITY_RING, [row_of(HABITABILITY_RING, **ring, ring=i, radius_kpc=i + 0.5, n_ia=0.1 * i, n_cc=0.0) for i in (1, 0)]),
        (TECHNOSIGNATURE_CANDIDATES, _stars(keys, star)),
        *_moving(night, keys),
        (
            CATALOGUE_MATCHES,
            [
                _match(keys, star, "TDE", "AT 2019qiz", 0.3, "match", 1),
                *(_match(keys, name, "3HSP", "3HSPJ004348.7-111607", 1.0, "ambiguous", 2) for name in ("one", "other")),
            ],
        ),
    ]


def _stars(keys: dict, star: str) -> list[tuple]:
    tested = keys | {"ra": 3.0, "dec": 4.0, "n_tests": 3, "n_stars": 40, "n_nights": 9}
    tested |= {"natural_explanation": "not excluded: an eclipse", "would_refute": "a period"}
    dip = {
        "best_test": "dip",
        "dip_fraction": 0.4,
        "dip_nights": 2,
        "p_best": 0.001,
        "p_combined": 0.003,
        "false_alarms_per_10k_stars": 243.9,
    }
    gone = {"best_test": "vanish", "gone_nights": 3, "false_alarms_per_10k_stars": 487.8}
    return [
        row_of(TECHNOSIGNATURE_CANDIDATES, **tested | dip, object_id=star, status="candidate", rank=1),
        row_of(TECHNOSIGNATURE_CANDIDATES, **tested | gone, object_id="gone", status="candidate", rank=2),
        row_of(TECHNOSIGNATURE_CANDIDATES, **tested | dip, object_id="binary", status="set_aside", reason="period"),
    ]


def _moving(night: dt.date, keys: dict) -> Rows:
    """A link of three nights whose second tracklet is listed first, an event, and a link that is bound."""
    tracklets = [_tracklet(night - dt.timedelta(days=ago), f"t{ago}", 58451.0 - ago, None) for ago in (2, 1, 0)]
    tracklets.append(_tracklet(night, "known", 58451.0, "(1) Ceres"))
    made = keys | {"ra": 10.0, "dec": -5.0, "mjd": 58451.3, "source_ids": [1, 2]}
    link = made | {
        "kind": "orbit",
        "n_nights": 3,
        "n_detections": 6,
        "arc_days": 2.1,
        "rms": 0.2,
        "p_unbound": 0.97,
        "p_clearly_unbound": 0.96,
    }
    link |= {"eccentricity": 1.4, "eccentricity_low": 1.2, "eccentricity_high": 1.7, "v_inf": 20.0}
    event = made | {"kind": "single", "n_nights": 1, "n_detections": 1, "arc_days": 0.0, "elongation": 3.5, "sun_altitude": -24.0}
    bound = link | {"status": "set_aside", "reason": "not_clearly_unbound", "p_unbound": 0.2, "p_clearly_unbound": 0.1}
    candidates = [
        row_of(INTERSTELLAR_CANDIDATES, **event, candidate_id="event", status="candidate", tracklet_ids=[]),
        row_of(INTERSTELLAR_CANDIDATES, **link, candidate_id="link", status="candidate", tracklet_ids=["t1", "t2", "t0"]),
        row_of(INTERSTELLAR_CANDIDATES, **bound, candidate_id="bound", tracklet_ids=["t2", "t1", "t0"]),
    ]
    return [(TRACKLETS, tracklets), (INTERSTELLAR_CANDIDATES, candidates)]


def _tracklet(night: dt.date, name: str, mjd: float, known: str | None) -> tuple:
    seen = [record_of(OBSERVATION, source_id=i, mjd=mjd + 0.02 * i, ra=10.0 + mjd - 58451.0, dec=-5.0, band="gr"[i]) for i in range(2)]
    values = {
        "survey": "ztf",
        "night": night,
        "tracklet_id": name,
        "mjd": mjd,
        "ra": 10.0,
        "dec": -5.0,
        "rate": 0.5,
        "position_angle": 90.0,
    }
    return row_of(TRACKLETS, **values, arc_minutes=28.8, n_detections=2, known_object=known, observations=seen)


def _match(keys: dict, object_id: str, catalogue: str, name: str, apart: float, status: str, n_objects: int) -> tuple:
    entry = {"catalogue": catalogue, "name": name, "type": "x", "separation_arcsec": apart, "status": status}
    return row_of(CATALOGUE_MATCHES, **keys, **entry, object_id=object_id, ra=1.0, dec=2.0, n_entries=1, n_objects=n_objects)
