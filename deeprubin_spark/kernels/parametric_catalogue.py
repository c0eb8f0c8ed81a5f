"""The numbers that `parametric.fit_parametric` makes of an object: name, unit, meaning, formula and source of each, in its order."""

from __future__ import annotations

from typing import NamedTuple

PARAMETRIC_BANDS: tuple[str, ...] = ("g", "r")


class ParametricFeature(NamedTuple):
    """One number of a fitted model. Symbols of `formula` as in `parametric.py`."""

    name: str
    unit: str
    doc: str
    formula: str
    source: str


_BAZIN = "Bazin et al. 2009, doi:10.1051/0004-6361/200911847"
_SPM = "Sanchez-Saez et al. 2021, doi:10.3847/1538-3881/abd5c1 (after Villar et al. 2019, doi:10.3847/1538-4357/ab418c)"
_BLACKBODY = "Russeil et al. 2024, arXiv:2310.02916"
_MICROLENSING = "Paczynski 1986, doi:10.1086/164140"
_FLARE = "Davenport et al. 2014, arXiv:1411.3723"
_DIP = "a trapezoid, as in Kovacs, Zucker & Mazeh 2002 with a ramp on each side"
_BIC = "Schwarz 1978, doi:10.1214/aos/1176344136"
_FROM_PEAK = "from the most significant bright point of the bands"


def parametric_features(bands: tuple[str, ...]) -> tuple[ParametricFeature, ...]:
    """The features of fits to these bands; those of a band carry its name as suffix."""
    return (
        *(feature for b in bands for feature in _bazin(b)),
        *(feature for b in bands for feature in _spm(b)),
        *_blackbody(),
        *_events(bands),
        *_qualities(),
    )


def _bazin(b: str) -> list[ParametricFeature]:
    return [
        ParametricFeature(f"bazin_amplitude_{b}", "nJy", f"Amplitude of Bazin's function in {b}", "A_b", _BAZIN),
        ParametricFeature(f"bazin_t0_{b}", "d", f"Reference time of Bazin's function in {b}, {_FROM_PEAK}", "t0", _BAZIN),
        ParametricFeature(f"bazin_rise_time_{b}", "d", f"Rise time of Bazin's function in {b}", "tau_rise", _BAZIN),
        ParametricFeature(f"bazin_fall_time_{b}", "d", f"Fall time of Bazin's function in {b}", "tau_fall", _BAZIN),
    ]


def _spm(b: str) -> list[ParametricFeature]:
    return [
        ParametricFeature(f"spm_amplitude_{b}", "nJy", f"Amplitude of the supernova parametric model in {b}", "A", _SPM),
        ParametricFeature(f"spm_plateau_time_{b}", "d", f"Length of its plateau in {b}", "gamma", _SPM),
        ParametricFeature(f"spm_plateau_slope_{b}", "1", f"Share of the amplitude lost over the plateau in {b}", "beta", _SPM),
        ParametricFeature(f"spm_rise_time_{b}", "d", f"Rise time of the supernova parametric model in {b}", "tau_rise", _SPM),
        ParametricFeature(f"spm_fall_time_{b}", "d", f"Fall time after the plateau in {b}", "tau_fall", _SPM),
    ]


def _blackbody() -> list[ParametricFeature]:
    bolometric = "Highest bolometric flux of the cooling blackbody over the frequency of 6000 Angstrom"
    return [
        ParametricFeature("blackbody_amplitude", "nJy", bolometric, "A", _BLACKBODY),
        ParametricFeature("blackbody_t0", "d", f"Reference time of the cooling blackbody, {_FROM_PEAK}", "t0", _BLACKBODY),
        ParametricFeature("blackbody_rise_time", "d", "Rise time of its bolometric flux", "tau_1", _BLACKBODY),
        ParametricFeature("blackbody_fall_time", "d", "Fall time of its bolometric flux", "tau_2", _BLACKBODY),
        ParametricFeature("blackbody_temperature_max", "K", "Temperature long before t0, in the observer's frame", "T_max", _BLACKBODY),
        ParametricFeature("blackbody_temperature_min", "K", "Temperature long after t0, in the observer's frame", "T_min", _BLACKBODY),
        ParametricFeature("blackbody_cooling_time", "d", "Time over which the temperature falls", "tau_cool", _BLACKBODY),
    ]


def _events(bands: tuple[str, ...]) -> list[ParametricFeature]:
    return [
        ParametricFeature("microlensing_u0", "1", "Closest approach of lens and source in Einstein radii", "u0", _MICROLENSING),
        ParametricFeature("microlensing_einstein_time", "d", "Time to cross the Einstein radius", "t_E", _MICROLENSING),
        ParametricFeature("microlensing_t0", "d", f"Time of the closest approach, {_FROM_PEAK}", "t0", _MICROLENSING),
        ParametricFeature("flare_width", "d", "Full width of the flare at half its peak", "width", _FLARE),
        *(ParametricFeature(f"flare_amplitude_{b}", "nJy", f"Peak of the flare in {b}", "A_b", _FLARE) for b in bands),
        ParametricFeature("dip_width", "d", "Full width of the dip at half its depth", "W", _DIP),
        ParametricFeature("dip_ingress_time", "d", "Time from the dip's first contact to its full depth", "q", _DIP),
        *(ParametricFeature(f"dip_depth_{b}", "nJy", f"Depth of the dip in {b}", "D_b", _DIP) for b in bands),
    ]


def _qualities() -> list[ParametricFeature]:
    models = {
        "bazin": ("Bazin's function", _BAZIN),
        "spm": ("the supernova parametric model", _SPM),
        "blackbody": ("the cooling blackbody", _BLACKBODY),
        "microlensing": ("microlensing", _MICROLENSING),
        "flare": ("a flare", _FLARE),
        "dip": ("a dip", _DIP),
    }
    chi2, bic = "chi2 / (n - k)", "chi2 + sum ln(2 pi sigma_i^2) + k ln n"
    meaning = "Bayesian information criterion of"
    return [
        *(
            ParametricFeature(f"{model}_reduced_chi2", "1", f"Chi-squared of {name} per degree of freedom, all bands", chi2, source)
            for model, (name, source) in models.items()
        ),
        ParametricFeature("bic_constant", "1", f"{meaning} a constant flux in each band, flux in nJy", bic, _BIC),
        *(ParametricFeature(f"bic_{model}", "1", f"{meaning} {name}, flux in nJy", bic, _BIC) for model, (name, _) in models.items()),
    ]


PARAMETRIC_FEATURES: tuple[ParametricFeature, ...] = parametric_features(PARAMETRIC_BANDS)
