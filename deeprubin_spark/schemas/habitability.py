"""What supernovae tell of where life could last: events, their map and rates, rings of a disc like ours, and stars with planets near ones to come."""

from deeprubin_spark.schemas.contract import Column, Table

_SURVEY = Column("survey", "string", doc="Survey that saw the objects: 'ztf', ...", required=True)
_MODEL = Column("model_version", "string", ucd="meta.version", doc="Published model whose probabilities are the weights", required=True)
_FIRST = Column("first_night", "date", doc="First of the nights looked at together", required=True)
_LAST = Column("night", "date", doc="Last of them", required=True)
_WINDOW = (_SURVEY, _FIRST, _LAST, _MODEL)
_WINDOW_KEY = ("survey", "first_night", "night", "model_version")


def _limits(name: str, unit: str, doc: str) -> tuple[Column, ...]:
    """A rate with its limits at one standard deviation."""
    return (
        Column(name, "double", unit=unit, doc=doc),
        Column(f"{name}_lo", "double", unit=unit, ucd="stat.min", doc=f"Lower limit of {name}, 84 % one-sided (Gehrels 1986)"),
        Column(f"{name}_hi", "double", unit=unit, ucd="stat.max", doc=f"Upper limit of {name}, 84 % one-sided"),
    )


def _probability(name: str, doc: str) -> Column:
    return Column(name, "double", unit="1", ucd="stat.probability", doc=doc)


HABITABILITY_EVENT = Table(
    "habitability_event",
    doc="Objects of a night that may be supernovae or kilonovae: host, brightness, how near one like it is lethal. Candidates only.",
    version=1,
    key=("survey", "object_id", "night", "model_version"),
    partition_by=("survey", "night"),
    columns=(
        _SURVEY,
        Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
        Column("night", "date", doc="Observing night, by the survey's rule", required=True),
        _MODEL,
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000"),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000"),
        _probability("p_ia", "Calibrated probability of a thermonuclear supernova: SNIa, SNIa-91bg or SNIax"),
        _probability("p_ii", "Of SNII"),
        _probability("p_ibc", "Of SNIbc"),
        _probability("p_slsn", "Of SLSN-I"),
        _probability("p_kilonova", "Of a kilonova"),
        Column("kind", "string", doc="Likeliest kind of explosion: SNIa, SNII, SNIbc, SLSN-I or Kilonova", required=True),
        Column(
            "energy_erg", "double", unit="erg", ucd="phys.energy", doc="Energy assumed for it in what ionises an atmosphere", required=True
        ),
        Column("energy_basis", "string", doc="Whether the lethal distance behind it is published, derived from one that is, or assumed"),
        Column("energy_reference", "string", doc="Where it comes from"),
        Column(
            "d_crit_pc",
            "double",
            unit="pc",
            doc="Distance at which its fluence is 10^8 erg cm-2, which doubles the UV on the ground",
            required=True,
        ),
        Column("d_crit_pc_lo", "double", unit="pc", doc="The same, less its 1-sigma uncertainty in energy and fluence"),
        Column("d_crit_pc_hi", "double", unit="pc", doc="The same, plus it"),
        Column(
            "peak_flux_njy",
            "double",
            unit="nJy",
            ucd="phot.flux.density",
            doc="Highest difference flux of a 5-sigma detection known by that night",
        ),
        Column("peak_band", "string", ucd="instr.bandpass", doc="Its band"),
        Column(
            "host",
            "string",
            ucd="meta.id.assoc",
            doc="Likeliest galaxy of the bundled catalogue (to 80 Mpc) within 50 kpc; NULL where chance is above 0.1",
        ),
        _probability("host_probability", "Share of random places in the sky with no galaxy as near by chance as this one"),
        Column("host_distance_mpc", "double", unit="Mpc", ucd="pos.distance", doc="Luminosity distance of the host"),
        Column("host_z", "double", unit="1", ucd="src.redshift", doc="Redshift of that distance, H_0 = 70"),
        Column("offset_kpc", "double", unit="kpc", ucd="pos.angDistance", doc="Projected distance from the host's centre"),
        Column(
            "absolute_magnitude",
            "double",
            unit="mag",
            ucd="phot.mag;em.opt",
            doc="Of peak_flux_njy at the host's distance; neither dust nor redshift corrected",
        ),
        Column(
            "stars_inside",
            "double",
            unit="1",
            doc="Stars within d_crit_pc in the midplane of a disc like ours, offset_kpc from its centre; NULL without host",
        ),
        _probability(
            "sterilisation_risk",
            "That a star of that disc at offset_kpc is within d_crit_pc of a supernova of this kind in 1 Gyr; NULL without host or Galactic rate",
        ),
    ),
    checks={"a distance": "d_crit_pc > 0", "host or none": "(host_probability IS NULL) = (offset_kpc IS NULL)"},
)

HABITABILITY_HEALPIX = Table(
    "habitability_healpix",
    doc="Supernovae of the nights looked at together, on the sky: each object once, by its latest score, weighted by its class probabilities.",
    version=1,
    key=(*_WINDOW_KEY, "healpix"),
    partition_by=("survey", "night"),
    columns=(
        *_WINDOW,
        Column("healpix", "long", unit="1", ucd="pos.healpix", doc="HEALPix pixel, nested, order 6 (nside 64, 0.84 deg2)", required=True),
        Column("nights", "int", unit="1", doc="Nights on which an object in the pixel was seen", required=True),
        Column(
            "exposure",
            "double",
            unit="deg2.yr",
            doc="Area times control time: from its first to its last night, and 40 d before",
            required=True,
        ),
        Column("n_ia", "double", unit="1", doc="Expected number of thermonuclear supernovae: sum of p_ia", required=True),
        Column("n_cc", "double", unit="1", doc="Of core-collapse supernovae: sum of p_ii + p_ibc", required=True),
        Column("n_slsn", "double", unit="1", doc="Of superluminous ones", required=True),
        *_limits("rate_ia", "deg-2.yr-1", "n_ia / exposure; supernovae that were missed are not made up for"),
        *_limits("rate_cc", "deg-2.yr-1", "n_cc / exposure"),
        *_limits("rate_slsn", "deg-2.yr-1", "n_slsn / exposure"),
    ),
)

HABITABILITY_RATE = Table(
    "habitability_rate",
    doc="Supernova rates of the nights looked at together, by kind, weighted by class probabilities. Lower limits: missed supernovae are not made up for.",
    version=1,
    key=(*_WINDOW_KEY, "kind"),
    partition_by=("survey", "night"),
    columns=(
        *_WINDOW,
        Column("kind", "string", doc="SNIa, SNII, SNIbc, SLSN-I or Kilonova", required=True),
        Column("n_objects", "long", unit="1", doc="Objects that were scored, each once", required=True),
        Column("exposure", "double", unit="deg2.yr", doc="Sum of the map's exposure", required=True),
        *_limits("n", "1", "Expected number: sum of probabilities over all scored objects"),
        *_limits("rate", "deg-2.yr-1", "n / exposure"),
        Column(
            "n_with_host",
            "double",
            unit="1",
            doc="Expected number of those with a host within 80 Mpc and a magnitude, whose probabilities are at least 0.1",
        ),
        *_limits("volumetric_rate", "Mpc-3.yr-1", "Sum of p (1 + z) / (V_max T) over those, V_max to magnitude 19.5 and 80 Mpc"),
    ),
)

HABITABILITY_RING = Table(
    "habitability_ring",
    doc="Rings of a disc like the Milky Way's: explosions there, what planets get through 1 Gyr, and supernovae seen as far out in their hosts.",
    version=1,
    key=(*_WINDOW_KEY, "ring"),
    partition_by=("survey", "night"),
    columns=(
        *_WINDOW,
        Column("ring", "int", unit="1", doc="Ring n reaches from n to n + 1 kpc", required=True),
        Column("radius_kpc", "double", unit="kpc", doc="Its middle, from the centre", required=True),
        Column("n_ia", "double", unit="1", doc="Sum of p_ia of the events with a host at such an offset", required=True),
        Column("n_cc", "double", unit="1", doc="Sum of their p_ii + p_ibc", required=True),
        Column(
            "rate_ia",
            "double",
            unit="pc-3.Gyr-1",
            doc="Model: thermonuclear supernovae in the midplane (kernels/galactic_disc.py)",
            required=True,
        ),
        Column("rate_cc", "double", unit="pc-3.Gyr-1", doc="Model: core-collapse supernovae", required=True),
        Column("star_density", "double", unit="pc-3", doc="Model: stars in the midplane", required=True),
        _probability("p_kill_1gyr", "Median probability that a supernova doubles the UV on a planet there within 1 Gyr; types Ia, II, Ibc"),
        _probability("p_kill_1gyr_lo", "16th percentile over what is not known: rates, energies, critical fluence"),
        _probability("p_kill_1gyr_hi", "84th percentile"),
        _probability("p_kill_1gyr_xray", "Median with interacting supernovae (IIn) as far as their X-rays may reach at most"),
        Column("f_metal", "double", unit="1", doc="Model: how well terrestrial planets form and stay, by metallicity", required=True),
        Column(
            "ghz_index",
            "double",
            unit="1",
            doc="(1 - p_kill_1gyr) f_metal: relative habitability of the ring, by these two things alone",
            required=True,
        ),
    ),
    checks={"probability": "p_kill_1gyr BETWEEN 0 AND 1"},
)

HABITABILITY_NEARBY = Table(
    "habitability_nearby",
    doc="Known stars with planets, each with the known progenitor of an explosion that comes nearest to being lethal. Of the bundled catalogues alone.",
    version=1,
    key=("star",),
    columns=(
        Column("star", "string", ucd="meta.id;meta.main", doc="Star or system, as the Open Exoplanet Catalogue calls it", required=True),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000", required=True),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000", required=True),
        Column("distance_pc", "double", unit="pc", ucd="pos.distance", doc="Distance from the Sun", required=True),
        Column("n_planets", "int", unit="1", doc="Confirmed planets", required=True),
        Column("progenitor", "string", doc="Progenitor with the smallest margin", required=True),
        Column("kind", "string", doc="What it will be: SNII, SNIa, SNIbc or SNIIn", required=True),
        Column("separation_pc", "double", unit="pc", doc="From the star to it, in space", required=True),
        Column(
            "separation_err_pc",
            "double",
            unit="pc",
            ucd="stat.error",
            doc="1-sigma error by the progenitor's distance; the star's own is not known",
        ),
        Column("d_crit_pc", "double", unit="pc", doc="As far as its explosion is lethal", required=True),
        Column("d_crit_pc_hi", "double", unit="pc", doc="The same, plus its 1-sigma uncertainty"),
        Column("margin_pc", "double", unit="pc", doc="separation_pc - d_crit_pc; below 0 the star is within", required=True),
    ),
)
