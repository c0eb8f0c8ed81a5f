"""How well the search for interstellar objects finds what is there and leaves out what is not: at real exposures of ZTF, among real detections."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.link_vetting import Links, Observed, links
from deeprubin_spark.kernels.linking import clusters, tracked
from deeprubin_spark.kernels.orbit_fit import Arcs, Fit, fit, states_of
from deeprubin_spark.kernels.ranging import ranging
from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.tracklets import Detections, Tracklets, astrometric_error, find
from deeprubin_spark.kernels.two_body import Elements, eccentricity, elements
from deeprubin_spark.searches import interstellar_scenes as scenes
from deeprubin_spark.searches.interstellar import MAX_RMS, MIN_PROBABILITY, MIN_SPEED
from deeprubin_spark.searches.interstellar_scenes import KNOWN, Exposures, Scene

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Numbers = dict[str, Any]

WINDOWS = {"2019-11": 58789, "2020-08": 59075, "2020-09": 59106}  # first nights [MJD] with many of the published exposures
_TURN = np.radians(4.0)


def study(folder: Path, seed: int, bound: int, unbound: int, false_alarms: int) -> Numbers:
    """All numbers: so many bound and unbound bodies a window, and bound ones for the rate of false alarms."""
    detections, orbits = scenes.real_detections(folder), pd.read_parquet(folder / "fink_fat_orbits.parquet")
    sigma = astrometric_error(detections["sigmapsf"].to_numpy(float))
    at = {name: scenes.exposures(detections, first) for name, first in WINDOWS.items()}
    found: Numbers = {"exposures": {name: len(one.mjd) for name, one in at.items()}}
    found["linking"] = {}
    for k, (name, window) in enumerate(at.items()):
        rng = np.random.default_rng([seed, k])
        found["linking"][name] = _window(detections, orbits, sigma, window, rng, bound, unbound)
        _tell(f"window {name}", found["linking"][name])
    found["all_windows"] = _summed(list(found["linking"].values()))
    found["fink_fat"] = _fink_fat(detections, orbits, sigma)
    _tell("orbits of Fink-FAT", found["fink_fat"])
    found["false_alarms"] = _false_alarms(orbits, list(at.values()), np.random.default_rng([seed, 99]), false_alarms)
    _tell("false alarms of bound bodies", found["false_alarms"])
    return found


def data_hash(folder: Path) -> str:
    """SHA-256 of the two files that are read."""
    digest = hashlib.sha256()
    for name in ("fink_fat_orbits.parquet", "fink_fat_trajectories.parquet"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _window(
    detections: pd.DataFrame, orbits: pd.DataFrame, sigma: FloatArray, at: Exposures, rng: np.random.Generator, n_bound: int, n_unbound: int
) -> Numbers:
    share = n_unbound // (len(KNOWN) + 2)
    wanted = {"bound": n_bound, "unbound": 2 * share, **dict.fromkeys(KNOWN, share)}
    groups = {name: scenes.population(name, orbits, at, rng, n) for name, n in wanted.items()}
    kind = np.repeat(np.arange(len(groups)), [len(one) for one in groups.values()])
    whole = scenes.among_real(scenes.scene(np.concatenate(list(groups.values())), at, rng), detections, at, sigma)
    begin = time.process_time()
    observed, body = _observed(whole)
    made = _linked(observed, at.middle)
    seconds = time.process_time() - begin
    owners = [np.unique(body[part]) for part in _parts(made)]
    pure = np.array([len(one) == 1 and one[0] >= 0 for one in owners], bool)
    is_made_up = np.array([(one >= 0).any() for one in owners], bool)
    flags = _flags(made)
    linked = {int(one[0]) for one, is_pure in zip(owners, pure, strict=True) if is_pure}
    flagged = {int(one[0]) for one, is_pure, flag in zip(owners, pure, flags, strict=True) if is_pure and flag}
    by_kind = {
        name: {
            "bodies": int((kind == k).sum()),
            "linked": int(sum(kind[b] == k for b in linked)),
            "flagged": int(sum(kind[b] == k for b in flagged)),
        }
        for k, name in enumerate(groups)
    }
    return {
        "detections": len(whole.mjd),
        "real_detections": int((whole.body < 0).sum()),
        "tracklets": len(observed.night),
        "links": len(owners),
        "links_with_made_up_bodies": int(is_made_up.sum()),
        "pure_links": int(pure.sum()),
        "links_of_real_detections": int((~is_made_up).sum()),
        "flagged_links_of_real_detections": int((flags & ~is_made_up).sum()),
        "core_seconds": round(seconds, 1),
        "by_kind": by_kind,
        "shuffled_nights": _shuffled(whole, at),
    }


def _observed(whole: Scene) -> tuple[Observed, IntArray]:
    """Tracklets night by night, and whose each is: a body, or -1 where it is mixed or real."""
    sizes, members = [], []
    for night in np.unique(whole.night):
        rows = np.flatnonzero(whole.night == night)
        found: Tracklets = find(Detections(whole.mjd[rows], whole.vectors[rows], whole.mag[rows], whole.mag_err[rows], whole.band[rows]))
        sizes.append(np.diff(found.offsets))
        members.append(rows[found.members])
    ends, rows = np.concatenate(([0], np.cumsum(np.concatenate(sizes)))), np.concatenate(members)
    arcs = Arcs(ends, whole.mjd[rows], whole.vectors[rows], observer_positions(whole.mjd[rows]), whole.sigma[rows])
    first = rows[ends[:-1]]
    same = np.add.reduceat((whole.body[rows] == np.repeat(whole.body[first], np.diff(ends))).astype(int), ends[:-1]) == np.diff(ends)
    body = np.where(same & (whole.body[first] >= 0), whole.body[first], -1 - np.arange(len(first)))
    return Observed(arcs, rows, whole.night[first]), body


def _linked(observed: Observed, middle: float) -> Links:
    arcs = observed.arcs
    seen = tracked(arcs.offsets, arcs.mjd, arcs.vectors, arcs.sigma, arcs.observers, observed.night)
    return links(clusters(seen, middle), observed)


def _parts(made: Links) -> list[IntArray]:
    return [made.members[a:b] for a, b in zip(made.offsets[:-1], made.offsets[1:], strict=True)]


def _flags(made: Links) -> NDArray[np.bool_]:
    """Which links the search would call candidates."""
    return _candidates(made.arcs, made.fit)


def _candidates(arcs: Arcs, fitted: Fit) -> NDArray[np.bool_]:
    """The search's rule. Orbits that stay bound by far in 200 draws of their linear errors are not ranged: they are none."""
    flags = np.zeros(len(fitted.theta), bool)
    bodies = np.flatnonzero(_may_be_unbound(fitted))
    if len(bodies):
        part = Fit(
            fitted.theta[bodies],
            fitted.frame.take(bodies),
            fitted.covariance[bodies],
            fitted.chi2[bodies],
            fitted.rms[bodies],
            fitted.converged[bodies],
        )
        found = ranging(arcs.take(bodies), part)
        flags[bodies] = (found.p_clearly_unbound > MIN_PROBABILITY) & (part.rms < MAX_RMS) & (found.v_inf > MIN_SPEED)
    return flags


def _may_be_unbound(fitted: Fit) -> NDArray[np.bool_]:
    rng = np.random.default_rng(5)
    scale = np.sqrt(np.maximum(np.einsum("kii->ki", fitted.covariance), 0.0))
    values, axes = np.linalg.eigh(fitted.covariance / scale[:, :, None] / scale[:, None, :])
    worst = eccentricity(fitted.states)
    for draw in rng.normal(0.0, 1.5, (200, 6)):
        off = np.einsum("kij,kj->ki", axes, draw * np.sqrt(np.maximum(values, 0.0))) * scale
        theta = fitted.theta + off
        theta[:, 4] = np.maximum(theta[:, 4], 0.2 * fitted.theta[:, 4])
        worst = np.fmax(worst, eccentricity(states_of(theta, fitted.frame)))
    return ~(worst < 1.0)


def _shuffled(whole: Scene, at: Exposures) -> Numbers:
    """Every night turned about the pole by an angle of its own: what is linked now is false."""
    numbers = np.unique(whole.night, return_inverse=True)[1]
    angle = _TURN * (((numbers * 7) % 15) - 7.0)
    x, y, z = whole.vectors.T
    turned = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z], axis=1)
    observed, _ = _observed(whole._replace(vectors=turned))
    made = _linked(observed, at.middle)
    n_links = len(made.offsets) - 1
    return {"tracklets": len(observed.night), "links": n_links, "flagged": int(_flags(made).sum()) if n_links else 0}


def _false_alarms(orbits: pd.DataFrame, windows: list[Exposures], rng: np.random.Generator, n: int) -> Numbers:
    """Bound bodies with pairs on three nights or more, every tracklet of theirs and none else: how many are called candidates."""
    flagged, ranged, bodies, arc_days = 0, 0, 0, []
    begin = time.process_time()
    for k, at in enumerate(windows):
        states = scenes.population("bound", orbits, at, rng, n // len(windows) + (k < n % len(windows)))
        made = scenes.scene(states, at, rng)
        order = np.lexsort((made.mjd, made.body))
        offsets = np.searchsorted(made.body[order], np.arange(len(states) + 1)).astype(np.int64)
        arcs = Arcs(offsets, made.mjd[order], made.vectors[order], observer_positions(made.mjd[order]), made.sigma[order])
        fitted = fit(arcs, np.full(len(states), at.middle), states)
        flags = _candidates(arcs, fitted)
        flagged, ranged, bodies = flagged + int(flags.sum()), ranged + int(_may_be_unbound(fitted).sum()), bodies + len(states)
        arc_days.append(arcs.mjd[offsets[1:] - 1] - arcs.mjd[offsets[:-1]])
    return {
        "bodies": bodies,
        "ranged": ranged,
        "flagged": flagged,
        "rate": flagged / max(bodies, 1),
        "median_arc_days": float(np.median(np.concatenate(arc_days))),
        "core_seconds": round(time.process_time() - begin, 1),
    }


def _fink_fat(detections: pd.DataFrame, orbits: pd.DataFrame, sigma: FloatArray) -> Numbers:
    """Our orbits of Fink-FAT's trajectories beside theirs (OrbFit); those with published errors."""
    known = orbits.set_index("ssoCandId")
    ordered = detections.assign(sigma=sigma).sort_values(["ssoCandId", "mjd"])
    names, counts = np.unique(ordered["ssoCandId"].to_numpy(str), return_counts=True)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    mjd = ordered["mjd"].to_numpy(float)
    arcs = Arcs(offsets, mjd, unit_vectors(ordered["ra"], ordered["dec"]), observer_positions(mjd), ordered["sigma"].to_numpy(float))
    fitted = fit(arcs, np.add.reduceat(mjd, offsets[:-1]) / counts)
    ours: Elements = elements(fitted.states)
    theirs = known.loc[names]
    has_errors = (theirs["rms_a"] > 0).to_numpy() & fitted.converged
    a = ours.perihelion / (1.0 - ours.eccentricity)
    pulls = {
        "a": (a - theirs["a"].to_numpy(float)) / theirs["rms_a"].to_numpy(float),
        "e": (ours.eccentricity - theirs["e"].to_numpy(float)) / theirs["rms_e"].to_numpy(float),
        "i": (ours.inclination - theirs["i"].to_numpy(float)) / theirs["rms_i"].to_numpy(float),
    }
    return {
        "trajectories": len(names),
        "fitted_rms_below_1_arcsec": int((fitted.rms < 1.0).sum()),
        "median_rms": float(np.median(fitted.rms)),
        "with_published_errors": int(has_errors.sum()),
        "within_3_published_errors": {name: float(np.mean(np.abs(pull[has_errors]) < 3.0)) for name, pull in pulls.items()},
        "median_difference_of_inclination_deg": float(np.median(np.abs(ours.inclination - theirs["i"].to_numpy(float))[has_errors])),
        "candidates_by_our_rule": int(_candidates(arcs, fitted).sum()),
    }


def _summed(windows: list[Numbers]) -> Numbers:
    """Recall and purity over all windows."""
    kinds = windows[0]["by_kind"]
    total = {kind: {key: sum(one["by_kind"][kind][key] for one in windows) for key in ("bodies", "linked", "flagged")} for kind in kinds}
    unbound = [counts for kind, counts in total.items() if kind != "bound"]
    shuffled = {key: sum(one["shuffled_nights"][key] for one in windows) for key in ("tracklets", "links", "flagged")}
    with_made_up = sum(one["links_with_made_up_bodies"] for one in windows)
    return {
        "by_kind": total,
        "recall_of_links_bound": _share("linked", [total["bound"]]),
        "recall_of_links_unbound": _share("linked", unbound),
        "purity_of_links": sum(one["pure_links"] for one in windows) / max(with_made_up, 1),
        "recall_of_candidates_unbound": _share("flagged", unbound),
        "flagged_share_of_bound": _share("flagged", [total["bound"]]),
        "shuffled_nights": shuffled | {"links_per_1000_tracklets": 1000.0 * shuffled["links"] / max(shuffled["tracklets"], 1)},
        "core_us_per_tracklet": round(1e6 * sum(one["core_seconds"] for one in windows) / max(sum(one["tracklets"] for one in windows), 1)),
    }


def _share(key: str, rows: list[dict[str, int]]) -> float:
    return sum(row[key] for row in rows) / max(sum(row["bodies"] for row in rows), 1)


def _tell(what: str, numbers: Numbers) -> None:
    sys.stderr.write(f"  {what}: {numbers}\n")
