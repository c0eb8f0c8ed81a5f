"""Features that need what is known of the host galaxy and of the dust before it: absolute magnitudes, rest-frame times, colours without dust.

They are made of features that stand in the same matrix already, so each is one formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.catalogue_entry import THIS_PROJECT, Feature, neighbours

FloatArray = NDArray[np.float64]

HUBBLE = 70.0  # [km s-1 Mpc-1], flat, as supernova simulations have it
MATTER = 0.3  # [1]
_LIGHT = 299_792.458  # [km s-1]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)

# [1] A_b / E(B-V) of Schlegel, Finkbeiner & Davis's map, R_V = 3.1, LSST bands (Schlafly & Finkbeiner 2011, arXiv:1012.4804, table 6).
EXTINCTION = {"u": 4.145, "g": 3.237, "r": 2.273, "i": 1.684, "z": 1.323, "y": 1.088}

_REST = ("gp_timescale", "gp_rest_timescale")
OF_REDSHIFT = ("host_photo_z", "gp_rest_", "rest_width_", "peak_absolute_magnitude_")  # what a name begins with that a redshift is part of
_COSMOLOGY = f"flat universe, H_0 = {HUBBLE:.0f}, Omega_m = {MATTER}"
_DUST = "Schlafly & Finkbeiner 2011"


@dataclass(frozen=True)
class Hosts:
    """What is known of the place of B objects, (B,) float64 each, NaN where it is not known.

    photo_z, photo_z_err : [1] photometric redshift of the host galaxy, above 0      ebv : [mag] E(B-V) of the Galaxy's dust
    """

    photo_z: FloatArray
    photo_z_err: FloatArray
    ebv: FloatArray

    @classmethod
    def unknown(cls, n_objects: int) -> Hosts:
        """Nothing known of so many objects."""
        nothing = np.full(n_objects, np.nan)
        return cls(nothing, nothing, nothing)


def host_entries(bands: tuple[str, ...]) -> list[Feature]:
    """Group `host`, in the order of `fill_host_features`."""
    made = [
        Feature("host_photo_z", "1", "Photometric redshift of the host galaxy", "z", "survey", "host", True),
        Feature("host_photo_z_err", "1", "Its error", "sigma_z", "survey", "host", True),
        Feature("dust_ebv", "mag", "Reddening E(B-V) by the Galaxy's dust", "E(B-V)", "survey", "host", True),
        Feature(_REST[1], "d", "Timescale of the Gaussian process in the host's frame", "l / (1 + z)", "Boone 2019", "host", True),
    ]
    for b in bands:
        doc = f"Absolute magnitude in {b} of the highest posterior mean, without dust, not K-corrected; {_COSMOLOGY}"
        formula = f"31.4 - 2.5 log10 F_pk - {EXTINCTION[b]} E(B-V) - 5 log10(d_L / 10 pc)"
        made.append(Feature(f"peak_absolute_magnitude_{b}", "mag", doc, formula, _DUST, "host", False))
    doc = "Feature width_{} in the host's frame"
    made += [Feature(f"rest_width_{b}", "d", doc.format(b), f"width_{b} / (1 + z)", THIS_PROJECT, "host", True) for b in bands]
    for b, c in neighbours(bands):
        doc = f"Magnitude in {b} minus that in {c} of the highest posterior means, without dust; NULL unless both are positive"
        formula = f"-2.5 log10(F_pk,{b} / F_pk,{c}) - {EXTINCTION[b] - EXTINCTION[c]:.3f} E(B-V)"
        made.append(Feature(f"dust_free_colour_{b}{c}", "mag", doc, formula, _DUST, "host", True))
    return made


def fill_host_features(hosts: Hosts, names: tuple[str, ...], bands: tuple[str, ...], values: FloatArray) -> None:
    """Group `host` into its columns of values (B, F), whose columns are called `names` and hold the other groups already."""

    def column(name: str) -> FloatArray:
        taken: FloatArray = values[:, names.index(name)]
        return taken

    z, ebv = np.where(hosts.photo_z > 0.0, hosts.photo_z, np.nan), hosts.ebv
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = {b: 31.4 - 2.5 * np.log10(np.where(column(f"peak_flux_{b}") > 0.0, column(f"peak_flux_{b}"), np.nan)) for b in bands}
    made: dict[str, FloatArray] = {
        "host_photo_z": z,
        "host_photo_z_err": np.where(np.isnan(z), np.nan, hosts.photo_z_err),
        "dust_ebv": ebv,
        _REST[1]: column(_REST[0]) / (1.0 + z),
        **{f"peak_absolute_magnitude_{b}": magnitude[b] - EXTINCTION[b] * ebv - distance_modulus(z) for b in bands},
        **{f"rest_width_{b}": column(f"width_{b}") / (1.0 + z) for b in bands},
        **{f"dust_free_colour_{b}{c}": magnitude[b] - magnitude[c] - (EXTINCTION[b] - EXTINCTION[c]) * ebv for b, c in neighbours(bands)},
    }
    first = names.index("host_photo_z")
    values[:, first : first + len(made)] = np.column_stack(list(made.values()))


def distance_modulus(z: FloatArray) -> FloatArray:
    """5 log10(d_L / 10 pc) [mag] of redshifts z (B,), NaN where z is.

    d_L = (1 + z) c / H_0 integral_0^z dx / sqrt(Omega_m (1 + x)^3 + 1 - Omega_m)        (flat universe; Hogg 1999, arXiv:astro-ph/9905116)

    by Gauss and Legendre's rule with 32 nodes.
    """
    x = 0.5 * np.multiply.outer(z, _NODES + 1.0)
    integral = 0.5 * z * ((_WEIGHTS / np.sqrt(MATTER * (1.0 + x) ** 3 + 1.0 - MATTER)).sum(axis=1))
    modulus: FloatArray = 5.0 * np.log10((1.0 + z) * _LIGHT / HUBBLE * integral * 1e5)
    return modulus
