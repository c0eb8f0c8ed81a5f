"""ZTF alert packets as the survey sends them, all schema versions in one superset, and their cutouts.

Field meanings: ZTF alert packet schema (zwickytransientfacility, `ztf-avro-alert`). Names are the survey's own; missing is NULL, also where a
packet says -999 or the string "null". A field that a schema version does not have is NULL too.
"""

from __future__ import annotations

from deeprubin_spark.schemas.contract import Column, Table

_CANDIDATE = """
jd double d Observation start, Julian Date (UTC)
fid int 1 Filter: 1 g, 2 r, 3 i
pid long . Processing id of the science image
diffmaglim float mag 5-sigma limit of the difference image
pdiffimfilename string . File name of the positive difference image
programpi string . Principal investigator of the programme
programid int 1 Programme: 1 public, 2 collaboration, 3 Caltech
isdiffpos string . 't' or '1': brighter than the reference; 'f' or '0': fainter
tblid long . Row number in the pipeline's source table
nid int d Night number of the pipeline
rcid int 1 Readout channel, 0 to 63
field int . ZTF field number
xpos float pix x on the image
ypos float pix y on the image
ra double deg Right ascension, J2000
dec double deg Declination, J2000
magpsf float mag Magnitude of the difference, PSF fit (always of the absolute difference)
sigmapsf float mag 1-sigma error of magpsf
chipsf float 1 Reduced chi-square of the PSF fit
magap float mag Aperture magnitude, 8 pix diameter
sigmagap float mag 1-sigma error of magap
distnr float pix Distance to the nearest reference source (pixels of 1.01 arcsec)
magnr float mag Magnitude of the nearest reference source
sigmagnr float mag 1-sigma error of magnr
chinr float 1 DAOPhot chi of the nearest reference source
sharpnr float 1 DAOPhot sharpness of the nearest reference source
sky float DN Local sky background
magdiff float mag magap - magpsf
fwhm float pix Full width at half maximum of the source
classtar float 1 SExtractor star/galaxy score
mindtoedge float pix Distance to the nearest image edge
magfromlim float mag diffmaglim - magap
seeratio float 1 Ratio of difference image FWHM to image FWHM
aimage float pix Semi-major axis
bimage float pix Semi-minor axis
aimagerat float 1 aimage / fwhm
bimagerat float 1 bimage / fwhm
elong float 1 aimage / bimage
nneg int 1 Negative pixels in a 5x5 stamp
nbad int 1 Bad pixels in a 5x5 stamp
rb float 1 Real-bogus score, random forest: 0 bogus, 1 real
ssdistnr float arcsec Distance to the nearest known solar-system object
ssmagnr float mag Predicted magnitude of that object
ssnamenr string . Name of that object
sumrat float 1 Sum of pixels over sum of absolute pixels in the stamp
magapbig float mag Aperture magnitude, 18 pix diameter
sigmagapbig float mag 1-sigma error of magapbig
ranr double deg Right ascension of the nearest reference source
decnr double deg Declination of the nearest reference source
sgmag1 float mag g of the nearest PS1 source
srmag1 float mag r of the nearest PS1 source
simag1 float mag i of the nearest PS1 source
szmag1 float mag z of the nearest PS1 source
sgscore1 float 1 Star (1) or galaxy (0) score of the nearest PS1 source
distpsnr1 float arcsec Distance to the nearest PS1 source
ndethist int 1 Detections at this position since the survey began
ncovhist int 1 Times this position was observed
jdstarthist double d First detection, Julian Date
jdendhist double d Last detection, Julian Date
scorr double 1 Peak-pixel signal-to-noise in the match-filtered image
tooflag int 1 1 if a target-of-opportunity exposure
objectidps1 long . PS1 id of the nearest PS1 source
objectidps2 long . PS1 id of the second
sgmag2 float mag g of the second
srmag2 float mag r of the second
simag2 float mag i of the second
szmag2 float mag z of the second
sgscore2 float 1 Star/galaxy score of the second
distpsnr2 float arcsec Distance to the second
objectidps3 long . PS1 id of the third
sgmag3 float mag g of the third
srmag3 float mag r of the third
simag3 float mag i of the third
szmag3 float mag z of the third
sgscore3 float 1 Star/galaxy score of the third
distpsnr3 float arcsec Distance to the third
nmtchps int 1 PS1 sources within 30 arcsec
rfid long . Id of the reference image
jdstartref double d First exposure in the reference image, Julian Date
jdendref double d Last exposure in the reference image, Julian Date
nframesref int 1 Exposures in the reference image
rbversion string . Version of rb
dsnrms float 1 Signal-to-noise of the variation in the history of the pixel
ssnrms float 1 Signal-to-noise of the variation against the stack
dsdiff float 1 dsnrms - ssnrms
magzpsci float mag Photometric zero point of the science image
magzpsciunc float mag Error of magzpsci
magzpscirms float mag Scatter of magzpsci
nmatches int 1 PS1 calibrators used
clrcoeff float 1 Colour coefficient
clrcounc float 1 Error of clrcoeff
zpclrcov float mag Covariance of magzpsci and clrcoeff
zpmed float mag Median zero point of the calibrators
clrmed float mag Median colour of the calibrators
clrrms float mag Scatter of the calibrators' colour
neargaia float arcsec Distance to the nearest Gaia DR1 source
neargaiabright float arcsec Distance to the nearest Gaia DR1 source brighter than 14 mag
maggaia float mag Gaia G of the nearest
maggaiabright float mag Gaia G of the nearest bright one
exptime float s Exposure time (schema 3.1 on)
drb float 1 Real-bogus score, deep network (schema 3.3 on)
drbversion string . Version of drb
"""

_HISTORY_NAMES = (
    "jd fid pid programid candid isdiffpos magpsf sigmapsf diffmaglim ra dec rb nbad fwhm elong distnr magnr sigmagnr chinr sharpnr ssdistnr "
    "ssnamenr magzpsci"
)

_FORCED = """
jd double d Observation start, Julian Date (UTC)
fid int 1 Filter: 1 g, 2 r, 3 i
pid long . Processing id of the science image
programid int 1 Programme: 1 public, 2 collaboration, 3 Caltech
rfid long . Id of the reference image
exptime float s Exposure time
diffmaglim float mag 5-sigma limit of the difference image
magzpsci float mag Photometric zero point of the science image
forcediffimflux float DN Forced difference flux
forcediffimfluxunc float DN Its 1-sigma error
procstatus string . Codes of the forced-photometry pipeline; '0' is clean
distnr float arcsec Distance to the nearest reference source (here in arcsec)
magnr float mag Magnitude of the nearest reference source
sigmagnr float mag 1-sigma error of magnr
chinr float 1 DAOPhot chi of the nearest reference source
sharpnr float 1 DAOPhot sharpness of the nearest reference source
"""


def _columns(lines: str) -> tuple[Column, ...]:
    """`name type unit meaning` lines as columns; '.' is no unit."""
    rows = [line.split(maxsplit=3) for line in lines.strip().splitlines()]
    return tuple(Column(name, kind, unit="" if unit == "." else unit, doc=doc) for name, kind, unit, doc in rows)


CANDIDATE: tuple[Column, ...] = _columns(_CANDIDATE)
_BY_NAME = {c.name: c for c in CANDIDATE} | {"candid": Column("candid", "long", doc="Alert id of a detection; NULL for an upper limit")}
HISTORY: tuple[Column, ...] = tuple(_BY_NAME[name] for name in _HISTORY_NAMES.split())
FORCED: tuple[Column, ...] = _columns(_FORCED)

ALERTS_ZTF = Table(
    "alerts_ztf",
    doc="ZTF alert packets, every candidate field of every schema version.",
    version=1,
    key=("candid",),
    partition_by=("night",),
    columns=(
        Column("candid", "long", ucd="meta.id;meta.main", doc="Alert id, unique in the survey", required=True),
        Column("night", "date", ucd="time.epoch", doc="Observing night: UT date of jd", required=True),
        Column("objectId", "string", ucd="meta.id", doc="Object the survey assigned the alert to", required=True),
        Column("schemavsn", "string", doc="Schema version of the packet; NULL in 2018 packets that carry none"),
        Column("publisher", "string", doc="Producer of the packet"),
        *CANDIDATE,
        Column("prv_candidates", "array<struct>", fields=HISTORY, doc="Detections and upper limits of the 30 days before, oldest first"),
        Column("fp_hists", "array<struct>", fields=FORCED, doc="Forced photometry of the 30 days before (schema 4 on)"),
        Column("source", "string", doc="File name of the archive or folder the packet came from", required=True),
        Column("member", "string", doc="Name of the packet inside its source", required=True),
        Column("byte_offset", "long", unit="byte", doc="Where the packet begins in the uncompressed source", required=True),
    ),
    checks={"filter": "fid IN (1, 2, 3)"},
    skip_by=("candid", "objectId", "jd", "ra", "dec"),
)

CUTOUTS = Table(
    "cutouts",
    doc="The three image stamps of an alert, as gzipped FITS; filled only where ingest.cutouts is on.",
    version=1,
    key=("survey", "source_id"),
    partition_by=("survey", "night"),
    columns=(
        Column("survey", "string", doc="Survey that saw the object", required=True),
        Column("source_id", "long", ucd="meta.id;meta.main", doc="Alert id (ZTF candid)", required=True),
        Column("night", "date", doc="Observing night, by the survey's rule", required=True),
        Column("science", "binary", doc="Science image, gzipped FITS"),
        Column("template", "binary", doc="Reference image, gzipped FITS"),
        Column("difference", "binary", doc="Difference image, gzipped FITS"),
    ),
)
