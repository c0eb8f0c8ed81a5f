"""Light curves: one segment per object and night, older ones folded into a base, and the view that joins them."""

from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.packed_points import PACKED, REFERENCES

# One measurement, as one packet told it. A limit has no flux; forced photometry has no source_id.
POINT: tuple[Column, ...] = (
    Column(
        "exposure_mjd", "double", unit="d", ucd="time.start", doc="Start of the exposure, MJD UTC: with the band it identifies the exposure"
    ),
    Column("mjd", "double", unit="d", ucd="time.epoch", doc="Middle of the exposure, MJD UTC"),
    Column("band", "string", ucd="instr.bandpass", doc="Passband: u, g, r, i, z or y"),
    Column("kind", "string", doc="detection, limit (5-sigma upper limit) or forced (forced photometry)"),
    Column("source_id", "long", ucd="meta.id", doc="The survey's id of the detection; NULL for a limit or forced photometry"),
    Column(
        "packet_id",
        "long",
        ucd="meta.id",
        doc="Alert whose packet held this version of the point; equal to source_id in the alert's own row",
    ),
    Column("known_night", "date", doc="Night of that packet: when the point became known"),
    Column("flux_njy", "double", unit="nJy", ucd="phot.flux.density", doc="Signed difference flux, PSF; NULL for a limit"),
    Column("flux_err_njy", "double", unit="nJy", ucd="stat.error;phot.flux.density", doc="1-sigma error of flux_njy"),
    Column("limit_njy", "double", unit="nJy", ucd="phot.flux.density;stat.max", doc="5-sigma limit of the difference image"),
    Column(
        "apparent_flux_njy",
        "double",
        unit="nJy",
        ucd="phot.flux.density",
        doc="Flux of source plus reference, where the reference is valid",
    ),
    Column("apparent_flux_err_njy", "double", unit="nJy", ucd="stat.error", doc="1-sigma error of apparent_flux_njy"),
    Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension, J2000"),
    Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination, J2000"),
    Column("rb", "float", unit="1", doc="Real-bogus score, random forest"),
    Column("drb", "float", unit="1", doc="Real-bogus score, deep network; only in the alert's own row"),
    Column("cuts_failed", "string", doc="Names of the quality cuts this point fails, comma-separated; '' if none. Recorded, never applied"),
)

_WHERE = (
    Column("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", doc="Right ascension, J2000, of the latest alert"),
    Column("dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", doc="Declination, J2000, of the latest alert"),
    Column("healpix", "long", unit="1", ucd="pos.healpix", doc="HEALPix pixel of (ra, dec), nested, order 14"),
)
_OBJECT = (
    Column("survey", "string", doc="Survey that saw the object: 'ztf', 'plasticc', ...", required=True),
    Column("object_id", "string", ucd="meta.id;meta.main", doc="The survey's id of the object", required=True),
)

LIGHTCURVE_SEGMENTS = Table(
    "lightcurve_segments",
    doc="All points in an object's packets of one night: a pure function of that night's alerts.",
    version=3,
    key=("survey", "object_id", "night"),
    partition_by=("survey", "night"),
    columns=(
        *_OBJECT,
        Column("night", "date", doc="Observing night, by the survey's rule", required=True),
        *_WHERE,
        Column("n_alerts", "int", unit="1", doc="Alerts of the object that night", required=True),
        Column("rb_max", "float", unit="1", doc="Highest rb of the night's alerts"),
        Column("drb_max", "float", unit="1", doc="Highest drb of the night's alerts; NULL before schema 3.3"),
        Column("ss_name", "string", doc="Known solar-system object nearest to an alert of the night"),
        Column("ss_distance", "float", unit="arcsec", doc="Its distance, the smallest of the night"),
        Column("star_score", "float", unit="1", doc="Star (1) or galaxy (0) score of the nearest PS1 source (sgscore1), latest alert"),
        Column("star_distance", "float", unit="arcsec", doc="Distance to that source (distpsnr1), latest alert"),
        *REFERENCES.values(),
        Column("points", "array<struct>", fields=POINT, doc="Every version of every point, sorted by time", required=True),
        PACKED,
    ),
    checks={"has points": "size(points) > 0"},
)

LIGHTCURVE_BASE = Table(
    "lightcurve_base",
    doc="Older segments folded together, one row per object, sorted by healpix.",
    version=3,
    key=("survey", "object_id"),
    partition_by=("survey",),
    columns=(
        *_OBJECT,
        *_WHERE,
        Column("last_night", "date", doc="Latest of the nights folded into this row", required=True),
        Column(
            "points", "array<struct>", fields=POINT, doc="The versions of their points that some night can need, by time", required=True
        ),
        PACKED,
    ),
)

# One measurement per exposure and band: the alert's own row before a copy in another packet's history, then highest rb, lowest id.
LIGHTCURVES = Table(
    "lightcurves",
    doc="View: one row per object, its measurements sorted by time and deduplicated.",
    version=1,
    key=("survey", "object_id"),
    columns=(
        *_OBJECT,
        *_WHERE,
        Column(
            "points",
            "array<struct>",
            fields=(
                *POINT,
                Column("same_exposure", "boolean", doc="Another detection of this exposure and band was preferred to this one"),
            ),
            doc="Measurements sorted by time; SELECT points.mjd, points.flux_njy ... gives arrays",
        ),
    ),
)
