"""How odd natural stars look to the tests for technosignatures, how often chance makes one odd, and how strong a shape must be to be found."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels import star_tests
from deeprubin_spark.kernels.light_curves import chosen_points, curves_at
from deeprubin_spark.kernels.period_gate import is_variable
from deeprubin_spark.kernels.period_search import PERIOD_FEATURE_NAMES, find_periods
from deeprubin_spark.kernels.star_tests import CHANCES, Tested
from deeprubin_spark.searches import technosignature_scenes as scenes
from deeprubin_spark.searches.natural_explanations import BY_PERIOD
from deeprubin_spark.searches.technosignature_scenes import NATURAL, SHAPES, Epochs, Scene
from deeprubin_spark.searches.technosignatures import MOST_LOG10_FAP, P_REPORTED, bright_events

FloatArray = NDArray[np.float64]
Numbers = dict[str, Any]

LEAST_EPOCHS = 25
LEAST_FOR_PERIOD = 20  # detections
AMPLITUDES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # [sigma]
LEVELS = (0.001, 0.01, 0.1)
FEW = 10.0  # [per 10^4 stars] false alarms of a shape that counts as found and rare
_TESTS = (*CHANCES, "vanish")
_NONE = -1


def study(path: Path, seed: int, stars_of_a_kind: int, stars_of_a_shape: int) -> Numbers:
    """All numbers, at the epochs of the light curves in `path`: so many natural stars of each kind, and of each shape and amplitude."""
    epochs = scenes.epochs_of(path, LEAST_EPOCHS)
    rng = np.random.default_rng(seed)
    sky = scenes.joined([scenes.natural_scene(kind, epochs, rng, stars_of_a_kind) for kind in NATURAL])
    kind = np.repeat(np.arange(len(NATURAL)), stars_of_a_kind)
    found = star_tests.tested(sky.curves, sky.detected, sky.stars, bright_events())
    null, is_seen = null_of(found), np.isfinite(found.event_mjd)
    rates = false_alarms(found, null, int(is_seen.sum()))
    periodic = has_period(sky, np.flatnonzero(np.isfinite(rates)))
    _tell("natural stars", {"seen": int(is_seen.sum()), "rows": int(np.isfinite(rates).sum())})
    return {
        "cadences": len(epochs),
        "stars": int(is_seen.sum()),
        "chances_of_stars_with_nights_exchanged": _calibration(found),
        "natural": [_of_kind(name, kind == k, found, rates, periodic) for k, name in enumerate(NATURAL)],
        "shapes": [
            _of_shape(name, size, epochs, seed, stars_of_a_shape, null, int(is_seen.sum())) for name in SHAPES for size in AMPLITUDES
        ],
    }


def best_test(found: Tested) -> NDArray[np.int64]:
    """Place in CHANCES, and after them of vanish, of the test that gives each star a row (B,); -1 where none does. As the search decides."""
    combined, _ = star_tests.after_look_elsewhere(found.p)
    least = np.where(np.isnan(found.p), np.inf, found.p).argmin(axis=1)
    return np.where(found.gone.is_gone, len(CHANCES), np.where(combined <= P_REPORTED, least, _NONE))


def null_of(found: Tested) -> list[FloatArray]:
    """Of each test, and vanish, the chances of stars with nights exchanged, ascending; a star that is gone counts as 0."""
    chances = [*found.p_exchanged.T, np.zeros(int(found.gone.is_gone.sum()))]
    return [np.sort(p[np.isfinite(p)]) for p in chances]


def false_alarms(found: Tested, null: list[FloatArray], n_stars: int) -> FloatArray:
    """10^4 (k + 1) / (n + 1) of each star's best test (B,), NaN where no test gives it a row: what the search writes, of another null."""
    best = best_test(found)
    p = np.column_stack([found.p, np.zeros(len(best))])
    rates = np.full(len(best), np.nan)
    for t in range(len(null)):
        rows = np.flatnonzero(best == t)
        rates[rows] = 1e4 * (np.searchsorted(null[t], p[rows, t], side="right") + 1) / (n_stars + 1)
    return rates


def has_period(scene: Scene, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a period explains each star (B,), as the night would find it in its detections; only those at `rows` (R,) are asked."""
    seen = curves_at(chosen_points(scene.curves, scene.detected), rows)
    found = find_periods(seen, is_variable(seen) & (np.diff(seen.offsets) >= LEAST_FOR_PERIOD))
    periodic = np.zeros(scene.curves.n_objects, np.bool_)
    periodic[rows] = found[:, PERIOD_FEATURE_NAMES.index("period_log10_fap")] < MOST_LOG10_FAP
    return periodic


def data_hash(path: Path) -> str:
    """SHA-256 of the file that is read."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _calibration(found: Tested) -> list[Numbers]:
    """Share of stars with nights exchanged whose chance by a test is at most each level, among those it could be made of."""
    rows = []
    for name, p in zip(CHANCES, found.p_exchanged.T, strict=True):
        tried = p[np.isfinite(p)]
        shares = {f"at_most_{level:g}": round(float((tried <= level).mean()), 5) if len(tried) else None for level in LEVELS}
        rows.append({"test": name, "tried": len(tried), **shares})
    return rows


def _of_kind(name: str, rows: NDArray[np.bool_], found: Tested, rates: FloatArray, periodic: NDArray[np.bool_]) -> Numbers:
    """Of one kind: how many get a row, by which tests, how many of these a period explains, and where the others rank among all candidates."""
    best = best_test(found)
    explained = periodic & np.isin(best, [_TESTS.index(test) for test in BY_PERIOD])
    is_candidate = np.isfinite(rates) & ~explained
    ranks = np.full(len(rates), np.nan)
    combined, _ = star_tests.after_look_elsewhere(found.p)
    order = np.lexsort((np.nan_to_num(combined, nan=np.inf), np.where(is_candidate, rates, np.inf)))
    ranks[order] = np.arange(1, len(order) + 1)
    mine = rows & is_candidate
    with_row = rows & (best != _NONE)
    return {
        "kind": name,
        "stars": int((rows & np.isfinite(found.event_mjd)).sum()),
        "rows": int(with_row.sum()),
        "explained_by_period": int((with_row & explained).sum()),
        "candidates": int(mine.sum()),
        "first_rank": int(ranks[mine].min()) if mine.any() else None,
        "median_rank": float(np.median(ranks[mine])) if mine.any() else None,
        "median_false_alarms_per_10k_stars": round(float(np.median(rates[mine])), 1) if mine.any() else None,
        "best_tests": {test: int((with_row & (best == t)).sum()) for t, test in enumerate(_TESTS) if (with_row & (best == t)).any()},
    }


def _of_shape(name: str, size: float, epochs: list[Epochs], seed: int, n: int, null: list[FloatArray], n_stars: int) -> Numbers:
    """Of a shape so many errors high: the shares that its own test finds, that get a row by any test, and that are rare among the natural stars."""
    rng = np.random.default_rng([seed, list(SHAPES).index(name), int(10 * size)])
    scene = scenes.joined([scenes.shaped_scene(name, size, epochs, bright_events(), rng, n)])
    found = star_tests.tested(scene.curves, scene.detected, scene.stars, bright_events())
    test = SHAPES[name][0]
    own = found.gone.is_gone if test == "vanish" else found.p[:, CHANCES.index(test)] <= P_REPORTED
    rates = false_alarms(found, null, n_stars)
    made = {
        "shape": name,
        "test": test,
        "amplitude_sigma": size,
        "by_own_test": round(float(own.mean()), 3),
        "rows": round(float(np.isfinite(rates).mean()), 3),
        "rare": round(float((rates <= FEW).mean()), 3),
    }
    _tell(f"{name}, {size:g} sigma", made)
    return made


def _tell(name: str, numbers: Numbers) -> None:
    told = ", ".join(f"{key} {value}" for key, value in numbers.items() if not isinstance(value, str))
    sys.stderr.write(f"  {name}: {told}\n")
