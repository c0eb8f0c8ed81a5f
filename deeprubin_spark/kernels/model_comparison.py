"""Parametric models against the Gaussian process: which explanation do the points prefer?

    delta BIC = BIC of the model - BIC_GP,    BIC_GP = -2 L + k ln n          (Schwarz 1978)

L log evidence of the process at its most probable amplitude, timescale and jitter (k = 3), of the same n points that the models are fitted to:
those in the feature set's bands. Of a process fitted to other bands too, L is that of these points alone.
"""

from __future__ import annotations

import numpy as np

from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels import gaussian_process
from deeprubin_spark.kernels.gaussian_process import Fits
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, chosen_points
from deeprubin_spark.kernels.parametric import fit_parametric
from deeprubin_spark.kernels.parametric_catalogue import parametric_features

N_PROCESS_PARAMETERS = 3


def fill_parametric_features(curves: LightCurves, fits: Fits, bands: tuple[str, ...], out: FloatArray, column: int) -> None:
    """`fit_parametric` into out (B, F) from `column` on, each BIC less `process_bic`: NaN without a fit of the Gaussian process."""
    found = fit_parametric(curves, bands)
    is_bic = np.array([feature.name.startswith("bic_") for feature in parametric_features(bands)])
    found[:, is_bic] -= process_bic(curves, fits, bands)[:, None]
    out[:, column : column + found.shape[1]] = found


def process_bic(curves: LightCurves, fits: Fits, bands: tuple[str, ...]) -> FloatArray:
    """BIC of the Gaussian process for the points in `bands`: (B,), NaN for an object without fit or without such points."""
    in_bands = chosen_points(curves, np.isin(curves.band, [band_index(name) for name in bands]))
    evidence, n = fits.log_evidence, np.diff(in_bands.offsets)
    if in_bands is not curves:
        evidence = np.where(n < np.diff(curves.offsets), gaussian_process.log_evidence(in_bands, fits), evidence)
    bic: FloatArray = np.where(n > 0, -2.0 * evidence + N_PROCESS_PARAMETERS * np.log(np.maximum(n, 1)), np.nan)
    return bic
