"""Every number of the night's page as the SQL that makes it: the page runs these texts, and prints them beside the numbers.

`{table}` stands for a table, `:name` for a parameter; `Query.shown` fills both in, so that a reader can paste the text into `make sql`.
Each asks for all nights from :first to :last at once, and returns aggregates or the top of a ranking, never a night.
"""

from __future__ import annotations

from deeprubin_spark.reporting.query import Query
from deeprubin_spark.reporting.search_queries import SEARCH_QUERIES
from deeprubin_spark.schemas import ANOMALIES, FEATURES, LABELS, LIGHTCURVE_SEGMENTS, QUARANTINE, RUNS, SCORES

STEPS = Query(
    "steps",
    "Runs of each job for the night: the latest that ended well and the latest that failed, with ledger and cost",
    """
SELECT night, job, status,
       max_by(struct(run_id, parent_run_id, exit_code, message, started_at, finished_at, seconds, core_seconds, counts,
                     model_version, code_version, size(nights) AS n_nights,
                     array_min(nights) AS first_night, array_max(nights) AS last_night),
              finished_at) AS latest
FROM (SELECT *, explode(nights) AS night FROM {runs} WHERE survey = :survey)
WHERE night BETWEEN :first AND :last
GROUP BY night, job, status
""",
    (RUNS,),
)

# An object is seen for the first time where its packets of the night hold no detection but the night's own alerts.
OBJECTS = Query(
    "objects",
    "Alerts kept, objects they belong to, and objects without an earlier detection in their packets",
    """
SELECT night, count(*) AS objects, sum(n_alerts) AS alerts,
       count_if(size(array_except(points.source_id, array(CAST(NULL AS BIGINT)))) <= n_alerts) AS first_seen
FROM {lightcurve_segments}
WHERE survey = :survey AND night BETWEEN :first AND :last
GROUP BY night
""",
    (LIGHTCURVE_SEGMENTS,),
)

# 3072 equal cells of 13.4 square degrees: HEALPix order 14 to order 4 takes two bits for each of ten orders off the nested index.
SKY = Query(
    "sky",
    "Where the objects are: HEALPix cells, nested, order 4",
    """
SELECT night, shiftright(healpix, 20) AS cell, count(*) AS objects
FROM {lightcurve_segments}
WHERE survey = :survey AND night BETWEEN :first AND :last AND healpix IS NOT NULL
GROUP BY night, cell
""",
    (LIGHTCURVE_SEGMENTS,),
)

BRIGHTNESS = Query(
    "brightness",
    "Brightness of the night's own detections: AB magnitude of the absolute difference flux, in bins of half a magnitude",
    """
SELECT night, p.band, CAST(floor((31.4 - 2.5 * log10(abs(p.flux_njy))) * 2) AS INT) AS half_magnitude, count(*) AS detections
FROM (SELECT night, explode(points) AS p FROM {lightcurve_segments} WHERE survey = :survey AND night BETWEEN :first AND :last)
WHERE p.kind = 'detection' AND p.packet_id = p.source_id AND p.flux_njy <> 0
GROUP BY night, p.band, half_magnitude
""",
    (LIGHTCURVE_SEGMENTS,),
)

FITS = Query(
    "fits",
    "How the light-curve fits ended",
    """
SELECT night, status, count(*) AS objects
FROM {features}
WHERE survey = :survey AND night BETWEEN :first AND :last AND feature_set = :feature_set
GROUP BY night, status
""",
    (FEATURES,),
)

CLASSES = Query(
    "classes",
    "Objects of each class, and those not classified with the reason; the nights before, too",
    """
SELECT night, model_version, status, reason, `class`, count(*) AS objects
FROM {scores}
WHERE survey = :survey AND night BETWEEN :history AND :last
GROUP BY night, model_version, status, reason, `class`
""",
    (SCORES,),
)

GATES = Query(
    "gates",
    "Objects ranked as anomalies, and the gates that kept the others out",
    """
SELECT night, model_version, status, reason, count(*) AS objects
FROM {anomalies}
WHERE survey = :survey AND night BETWEEN :first AND :last
GROUP BY night, model_version, status, reason
""",
    (ANOMALIES,),
)

QUARANTINED = Query(
    "quarantine",
    "Packets in quarantine by reason, with the first of each; the nights before, too",
    """
SELECT night, reason, count(*) AS packets, min(struct(source, member, byte_offset, detail)) AS first
FROM {quarantine}
WHERE survey = :survey AND night BETWEEN :history AND :last
GROUP BY night, reason
""",
    (QUARANTINE,),
)

STRANGE = Query(
    "strange",
    "The oddest objects, with the features, points and Gaussian process that made them so",
    """
SELECT a.night, a.model_version, a.`rank`, a.object_id, a.ra, a.dec, a.score, a.contributions, a.nearest_class, a.explanation,
       s.status AS class_status, s.reason AS class_reason, s.`class`, s.p_class,
       f.n_detections, f.n_limits, f.t_ref_mjd, f.grid_time, f.grid_mean, f.grid_sd, f.points
FROM {anomalies} a
LEFT JOIN {scores} s ON s.survey = a.survey AND s.object_id = a.object_id AND s.night = a.night AND s.model_version = a.model_version
LEFT JOIN {features} f ON f.survey = a.survey AND f.object_id = a.object_id AND f.night = a.night AND f.feature_set = :feature_set
WHERE a.survey = :survey AND a.night BETWEEN :first AND :last AND a.status = 'ranked' AND a.`rank` <= :n_anomalies
ORDER BY a.night, a.`rank`, a.object_id
""",
    (ANOMALIES, SCORES, FEATURES),
)

LABELLED = Query(
    "labelled",
    "Classified objects that others have labelled: our class against theirs, latest label of each source",
    """
SELECT s.night, s.model_version, l.source, coalesce(l.latest.`class`, l.latest.label) AS label, s.`class`, count(*) AS objects
FROM {scores} s
JOIN (SELECT survey, object_id, source, max_by(struct(label, `class`), labelled_on) AS latest
      FROM {labels} GROUP BY survey, object_id, source) l
  ON l.survey = s.survey AND l.object_id = s.object_id
WHERE s.survey = :survey AND s.night BETWEEN :first AND :last AND s.status = 'scored'
GROUP BY s.night, s.model_version, l.source, label, s.`class`
""",
    (SCORES, LABELS),
)

QUERIES: tuple[Query, ...] = (STEPS, OBJECTS, SKY, BRIGHTNESS, FITS, CLASSES, GATES, QUARANTINED, STRANGE, LABELLED, *SEARCH_QUERIES)
