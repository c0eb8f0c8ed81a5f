"""Shapes that nature does not make, added to real light curves: how many of them the anomaly score finds.

A real light curve keeps its times, bands, errors and noise; added to its flux is a x e x s(t), e its median error and |s| <= 1. Half of the curves say what is
usual, as the real objects do that a model is published with; the first hundredth of them is the budget. The other half is injected. A curve of the list of
fakes (Pruzhinskaya et al., the SNAD team's; mjd, mag, magerr) is judged as it is, from its own median.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import functions as F

from deeprubin_spark.bands import band_index
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels import light_curve_features
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.measurements import MODEL_RECORD
from deeprubin_spark.kernels.observations import Observations
from deeprubin_spark.kernels.photometry import signed_flux_njy
from deeprubin_spark.models.inputs import FeatureRows, model_features
from deeprubin_spark.models.novelty import Novelty, Seen
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.training.export import write_last
from deeprubin_spark.training.studies import number, summarised

AMPLITUDES = (1, 2, 5, 10, 20)  # [median errors]
BUDGET = 0.01
MOST_INJECTED = 200
MOST_CURVES, LEAST_CURVES, LEAST_DETECTIONS = 4000, 40, 10
_AT_ONCE = 256

FloatArray = NDArray[np.float64]


class Curve(NamedTuple):
    """A light curve in order of time, (n,) each: mjd [d], band (place in BANDS), flux and flux_err [nJy]."""

    mjd: FloatArray
    band: NDArray[np.int8]
    flux: FloatArray
    flux_err: FloatArray


def real_curves(run: Run) -> tuple[list[Curve], str]:
    """Measurements of at most MOST_CURVES objects of the survey in the order of a hash of their ids, and their SHA-256. NoInputError for fewer than 40."""
    rule = rule_of(run.survey)
    rows = run.read(rule.table, survey=run.survey).where((F.col("status") == "ok") & (F.col("n_detections") >= LEAST_DETECTIONS))
    latest = rows.groupBy("object_id").agg(F.max_by("points", "night").alias("points"))
    chosen = latest.sort(F.xxhash64("object_id"), "object_id").limit(MOST_CURVES)
    points = chosen.toArrow()["points"].to_pylist()  # bounded by MOST_CURVES
    if len(points) < LEAST_CURVES:
        raise NoInputError(
            f"{rule.table.name}: {LEAST_CURVES} objects of survey {run.survey} with {LEAST_DETECTIONS} detections expected, found {len(points)}; "
            "ingest them and run extract_features"
        )
    return [_measured(of) for of in points], hashlib.sha256(b"".join(points)).hexdigest()


def _measured(points: bytes) -> Curve:
    """The measurements among packed points."""
    every = np.frombuffer(points, MODEL_RECORD)
    measured = every[np.isfinite(every["flux_njy"])]
    return Curve(measured["mjd"], measured["band"], *(measured[name].astype(np.float64) for name in ("flux_njy", "flux_err_njy")))


def square(t: FloatArray, phase: float) -> FloatArray:
    """On and off, 3 d each.   t : (n,) [d]      phase : [0, 1)"""
    return np.where((t / 6.0 + phase) % 1.0 < 0.5, 1.0, -1.0)


def sawtooth(t: FloatArray, phase: float) -> FloatArray:
    """Rises for 15 d, falls at once."""
    return ((t / 15.0 + phase) % 1.0) * 2.0 - 1.0


def alternating(t: FloatArray, phase: float) -> FloatArray:
    """The other sign at every visit, whenever that is."""
    return np.where((np.arange(len(t)) + int(2.0 * phase)) % 2 == 0, 1.0, -1.0)


def step(t: FloatArray, phase: float) -> FloatArray:
    """A lamp that goes on in the middle third."""
    return np.where(t > t[0] + (1.0 + phase) / 3.0 * (t[-1] - t[0]), 1.0, 0.0)


def dip(t: FloatArray, phase: float) -> FloatArray:
    """A sixth of the time fainter, with sharp edges."""
    return np.where(np.abs(t - t[0] - (1.0 + phase) / 3.0 * (t[-1] - t[0])) < (t[-1] - t[0]) / 12.0, -1.0, 0.0)


SHAPES: Mapping[str, Callable[[FloatArray, float], FloatArray]] = {
    "square wave": square,
    "sawtooth": sawtooth,
    "alternating visits": alternating,
    "step": step,
    "dip": dip,
}


def injected(curve: Curve, shape: Callable[[FloatArray, float], FloatArray], amplitude: float, phase: float) -> Curve:
    """The curve with a shape of so many median errors added."""
    return curve._replace(flux=curve.flux + amplitude * np.median(curve.flux_err) * shape(curve.mjd, phase))


def fake(path: Path) -> Curve:
    """A curve in magnitudes, as the difference from its own median flux, in r. ValueError where the first columns are not mjd, mag and their errors."""
    table = np.genfromtxt(path, delimiter=",", names=True)
    names = table.dtype.names or ()
    if names[:2] != ("mjd", "mag") or not names[2].startswith("mage"):
        raise ValueError(f"{path}: columns mjd, mag, magerr first expected, found {names}")
    mjd, mag, mag_err = (table[name][np.argsort(table["mjd"])] for name in names[:3])
    flux, flux_err = signed_flux_njy(mag, mag_err, np.ones(len(mag), np.bool_))
    return Curve(mjd, np.full(len(flux), band_index("r"), np.int8), flux - np.median(flux), flux_err)


class Judge:
    """The scores of light curves by a model whose usual objects are `usual`."""

    def __init__(self, model: PublishedModel, usual: Sequence[Curve]) -> None:
        self._model = model
        self._novelty = Novelty.fit(model.latents, self._components(usual))

    def scores(self, curves: Sequence[Curve]) -> FloatArray:
        """(B,) NaN for a curve without features."""
        made = [np.zeros(0)]
        for seen, is_there in self._seen(curves):
            found = np.full(len(is_there), np.nan)
            found[is_there] = self._novelty.anomaly(seen).score
            made.append(found)
        return np.concatenate(made)

    def _components(self, curves: Sequence[Curve]) -> dict[str, FloatArray]:
        made = [seen.components for seen, _ in self._seen(curves)]
        return {name: np.concatenate([one[name] for one in made]) for name in made[0]}

    def _seen(self, curves: Sequence[Curve]) -> Iterator[tuple[Seen, NDArray[np.bool_]]]:
        """What the model makes of those with features, some curves at a time, and which of them (B,) these are."""
        model = self._model
        columns = [model.feature_set.names.index(name) for name in model_features(model.feature_set)]
        for start in range(0, len(curves), _AT_ONCE):
            some = curves[start : start + _AT_ONCE]
            offsets = np.concatenate(([0], np.cumsum([len(curve.mjd) for curve in some])))
            mjd, band, flux, flux_err = (np.concatenate(of) for of in zip(*some, strict=True))
            made = light_curve_features.extract(Observations.of_curves(light_curves(offsets, mjd, band, flux, flux_err)), model.feature_set)
            is_there = made.status == light_curve_features.STATUS_NAMES.index("ok")
            every = FeatureRows(made.values[:, columns].astype(np.float32), made.grid_time, made.grid_mean, made.grid_sd)
            rows = every.take(np.flatnonzero(is_there))
            yield model.seen(model.judge(rows), rows.values, model.latents), is_there


class Found(NamedTuple):
    """Of one seed: whether each injected curve (M,) is found, by shape and amplitude, and the share of usual curves that score as high as each fake."""

    is_found: dict[tuple[str, int], NDArray[np.bool_]]
    reached: dict[str, float]


def run(
    model: PublishedModel, curves: Sequence[Curve], fakes: Mapping[str, Curve], seeds: Sequence[int], told: Mapping[str, Any], out: Path
) -> dict[str, Any]:
    """Completeness by shape and amplitude with intervals, and what share of usual curves scores as high as each fake; written to `out`.

    told : command, commit, data_sha256 and note, which the result repeats
    """
    begin = time.process_time()
    found = [_of_seed(model, curves, fakes, seed) for seed in seeds]
    n_injected = len(found[0].is_found["step", 1])

    def row(name: str, shapes: Sequence[str]) -> dict[str, Any]:
        each = {a: [partial(_share, [one.is_found[shape, a] for shape in shapes]) for one in found] for a in AMPLITUDES}
        return {"name": name, **{f"errors_{a}": summarised(of_seeds, n_injected)["share"] for a, of_seeds in each.items()}}

    rows = [*(row(shape, [shape]) for shape in SHAPES), row("all shapes", [*SHAPES])]
    rows += [
        {"name": f"fake: {name}", "reached": number(float(np.mean([f.reached[name] for f in found])), None, None, None)} for name in fakes
    ]
    seconds = round(time.process_time() - begin, 1)
    result = {
        **{"study": "injections", "rows": rows, "objects": len(curves), "usual": (len(curves) + 1) // 2, "injected": n_injected},
        **{"seeds": list(seeds), "core_seconds": seconds, "longest_fit_core_seconds": round(seconds / len(seeds), 1), **told},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_last(out, json.dumps(result, indent=1) + "\n")
    return result


def _of_seed(model: PublishedModel, curves: Sequence[Curve], fakes: Mapping[str, Curve], seed: int) -> Found:
    begin, rng = time.process_time(), np.random.default_rng(seed)
    usual, others = ([curves[i] for i in part] for part in np.array_split(rng.permutation(len(curves)), 2))
    judge, others = Judge(model, usual), others[:MOST_INJECTED]
    reference = judge.scores(usual)
    threshold, is_found = np.nanquantile(reference, 1.0 - BUDGET), {}
    for name, shape in SHAPES.items():
        for amplitude in AMPLITUDES:
            phases = rng.uniform(size=len(others))
            made = [injected(curve, shape, amplitude, phase) for curve, phase in zip(others, phases, strict=True)]
            is_found[name, amplitude] = judge.scores(made) > threshold
    of_fakes = judge.scores([*fakes.values()])
    reached = {name: float((reference >= score).mean()) for name, score in zip(fakes, of_fakes, strict=True)}
    print(f"  injections seed {seed}: {time.process_time() - begin:.0f} core-s", file=sys.stderr)
    return Found(is_found, reached)


def _share(is_found: Sequence[NDArray[np.bool_]], rows: NDArray[np.int64]) -> dict[str, float]:
    return {"share": float(np.mean([one[rows].mean() for one in is_found]))}
