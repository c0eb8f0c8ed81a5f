"""What the searches of a night found, as SQL: their rankings with why, what explains it first and what would decide, and the pictures behind them.

The ranked ones have the same columns, so a page shows them alike. As in `queries`: all nights from :first to :last at once.
"""

from __future__ import annotations

from deeprubin_spark.reporting.query import Query
from deeprubin_spark.schemas import (
    CATALOGUE_MATCHES,
    FEATURES,
    HABITABILITY_EVENT,
    HABITABILITY_HEALPIX,
    HABITABILITY_RING,
    INTERSTELLAR_CANDIDATES,
    SCORES,
    TECHNOSIGNATURE_CANDIDATES,
    TRACKLETS,
)

TECHNOSIGNATURES = Query(
    "technosignatures",
    "Stars that a test for technosignatures finds odd, by the rate of false alarms",
    """
SELECT t.night, CAST(NULL AS STRING) AS model_version, t.`rank`, t.object_id, t.ra, t.dec,
       concat(CASE t.best_test
                WHEN 'ellipsoid' THEN format_string('changed at MJD %.1f, when the SETI Ellipsoid of %s crosses it (MJD %.1f)',
                                                    t.event_mjd, t.ellipsoid_event, t.ellipsoid_mjd)
                WHEN 'transit_zone' THEN format_string('sees Earth before the Sun, and changed %.1f d from its opposition', t.opposition_days)
                WHEN 'dip' THEN format_string('%.0f %% of its light missing at most, on %d nights', 100 * t.dip_fraction, t.dip_nights)
                WHEN 'achromatic' THEN format_string('light missing alike in g and r on %d nights', t.achromatic_nights)
                WHEN 'levels' THEN format_string('%d levels of brightness and nothing between', t.n_levels)
                WHEN 'intervals' THEN format_string('bright nights at intervals of a series: %s', t.interval_series)
                ELSE format_string('at least 90 %% of its light gone on %d nights', t.gone_nights) END,
              format_string('; %.3g false alarms in 10,000 stars', t.false_alarms_per_10k_stars),
              if(t.p_combined IS NULL, '', format_string(', a chance of %.2g after %d tests', t.p_combined, t.n_tests))) AS why,
       t.natural_explanation,
       'the same again when the test says, once spectra and other telescopes have excluded every natural explanation' AS would_confirm,
       t.would_refute, f.t_ref_mjd, f.grid_time, f.grid_mean, f.grid_sd, f.points
FROM {technosignature_candidates} t
LEFT JOIN {features} f ON f.survey = t.survey AND f.object_id = t.object_id AND f.night = t.night AND f.feature_set = :feature_set
WHERE t.survey = :survey AND t.night BETWEEN :first AND :last AND t.status = 'candidate' AND t.`rank` <= :n_anomalies
ORDER BY t.night, t.`rank`
""",
    (TECHNOSIGNATURE_CANDIDATES, FEATURES),
)

HABITABILITY = Query(
    "habitability",
    "Objects that may be explosions, the most probable first, with their hosts and how near one like them is lethal",
    """
WITH events AS (
  SELECT *, row_number() OVER (PARTITION BY night, model_version ORDER BY p_explosion DESC, object_id) AS `rank`
  FROM (SELECT *, p_ia + p_ii + p_ibc + p_slsn + p_kilonova AS p_explosion FROM {habitability_event}
        WHERE survey = :survey AND night BETWEEN :first AND :last))
SELECT e.night, e.model_version, e.`rank`, e.object_id, e.ra, e.dec,
       concat(format_string('an explosion with P = %.2f, likeliest %s, lethal within %.1f pc', e.p_explosion, e.kind, e.d_crit_pc),
              CASE WHEN e.host_probability IS NULL THEN '; no host among the galaxies within 80 Mpc'
                   ELSE format_string('; host %s (P = %.2f) at %.1f Mpc, %.1f kpc from its centre', coalesce(e.host, 'without a name'),
                                      e.host_probability, e.host_distance_mpc, e.offset_kpc) END,
              CASE WHEN e.absolute_magnitude IS NULL THEN '' ELSE format_string(', M = %.1f mag', e.absolute_magnitude) END) AS why,
       format_string('no explosion, with P = %.2f: an active nucleus, a flaring or a variable star', greatest(0, 1 - e.p_explosion))
         AS natural_explanation,
       'a spectrum with the lines of a supernova; a rise and a fall over weeks, once' AS would_confirm,
       'an earlier outburst at the place, a period, a spectrum of a star or an active nucleus' AS would_refute,
       f.t_ref_mjd, f.grid_time, f.grid_mean, f.grid_sd, f.points
FROM events e
LEFT JOIN {features} f ON f.survey = e.survey AND f.object_id = e.object_id AND f.night = e.night AND f.feature_set = :feature_set
WHERE e.`rank` <= :n_anomalies
ORDER BY e.night, e.`rank`
""",
    (HABITABILITY_EVENT, FEATURES),
)

INTERSTELLAR = Query(
    "interstellar",
    "What moved and may be unbound, by P(e > 1.02), then single elongated events, with the detections that make their tracks",
    """
WITH found AS (
  SELECT *, row_number() OVER (PARTITION BY night ORDER BY p_clearly_unbound DESC NULLS LAST, elongation DESC, candidate_id) AS `rank`
  FROM {interstellar_candidates} WHERE survey = :survey AND night BETWEEN :first AND :last AND status = 'candidate'),
tracks AS (
  SELECT p.night, p.candidate_id, flatten(collect_list(t.observations)) AS observations
  FROM (SELECT night, candidate_id, explode(tracklet_ids) AS tracklet_id FROM found WHERE `rank` <= :n_anomalies) p
  JOIN {tracklets} t ON t.survey = :survey AND t.tracklet_id = p.tracklet_id AND t.night BETWEEN date_sub(p.night, 14) AND p.night
  GROUP BY p.night, p.candidate_id)
SELECT i.night, CAST(NULL AS STRING) AS model_version, i.`rank`, i.candidate_id AS object_id, i.ra, i.dec,
       CASE WHEN i.kind = 'orbit' THEN
         concat(format_string('P(e > 1) = %.2f from an arc of %.2f d: %d detections on %d nights, e = %.2f (%.2f to %.2f)', i.p_unbound,
                              i.arc_days, i.n_detections, i.n_nights, i.eccentricity, i.eccentricity_low, i.eccentricity_high),
                if(i.v_inf IS NULL, '', format_string(', %.0f km/s far from the Sun', i.v_inf)),
                format_string('; the orbit misses by %.2f arcsec rms', i.rms))
       ELSE format_string('an image %.1f times as long as wide, seen once, where the reference has nothing; the Sun %.0f deg below the horizon',
                          i.elongation, -i.sun_altitude) END AS why,
       CASE WHEN i.kind = 'orbit' THEN 'a bound orbit, which a short arc does not exclude; detections of several bodies linked by chance'
            ELSE 'a satellite, space debris or an aircraft; an asteroid near the Earth; a cosmic ray' END AS natural_explanation,
       CASE WHEN i.kind = 'orbit' THEN 'the body where this orbit puts it on later nights, and e above 1 with a longer arc'
            ELSE 'a second detection along the direction in which the image is long' END AS would_confirm,
       CASE WHEN i.kind = 'orbit' THEN 'nothing where this orbit puts it; a known body there; e below 1 with a longer arc'
            ELSE 'a satellite catalogue with one at this place and time; a spike in the image itself' END AS would_refute,
       t.observations
FROM found i LEFT JOIN tracks t ON t.night = i.night AND t.candidate_id = i.candidate_id
WHERE i.`rank` <= :n_anomalies
ORDER BY i.night, i.`rank`
""",
    (INTERSTELLAR_CANDIDATES, TRACKLETS),
)

OUTCOMES = Query(
    "outcomes",
    "How many each search found, and how many it set aside with the reason; tracklets of known bodies and of others",
    """
SELECT night, model_version, 'habitability' AS search, 'candidate' AS status, CAST(NULL AS STRING) AS reason, count(*) AS n
FROM {habitability_event} WHERE survey = :survey AND night BETWEEN :first AND :last GROUP BY night, model_version
UNION ALL
SELECT night, NULL, 'technosignatures', status, reason, count(*)
FROM {technosignature_candidates} WHERE survey = :survey AND night BETWEEN :first AND :last GROUP BY night, status, reason
UNION ALL
SELECT night, NULL, 'interstellar', status, reason, count(*)
FROM {interstellar_candidates} WHERE survey = :survey AND night BETWEEN :first AND :last GROUP BY night, status, reason
UNION ALL
SELECT night, NULL, 'tracklets', if(known_object IS NULL, 'candidate', 'known'), NULL, count(*)
FROM {tracklets} WHERE survey = :survey AND night BETWEEN :first AND :last GROUP BY night, known_object IS NULL
""",
    (HABITABILITY_EVENT, TECHNOSIGNATURE_CANDIDATES, INTERSTELLAR_CANDIDATES, TRACKLETS),
)

# Two bits for each order: HEALPix order 6 to order 4, as on the map of the night's objects.
HABITABILITY_MAP = Query(
    "habitability_map",
    "Expected number of supernovae in HEALPix cells, nested, order 4; of all ranges of nights looked at together that the night is in",
    """
SELECT first_night, night, model_version, shiftright(healpix, 4) AS cell, sum(n_ia + n_cc + n_slsn) AS expected
FROM {habitability_healpix}
WHERE survey = :survey AND first_night <= :last AND night >= :first
GROUP BY first_night, night, model_version, cell
""",
    (HABITABILITY_HEALPIX,),
)

RINGS = Query(
    "rings",
    "Rings of a disc like the Milky Way's: what supernovae leave there, and those seen as far from the centres of their hosts",
    """
SELECT first_night, night, model_version, radius_kpc, p_kill_1gyr, p_kill_1gyr_lo, p_kill_1gyr_hi, ghz_index, n_ia + n_cc AS seen
FROM {habitability_ring}
WHERE survey = :survey AND first_night <= :last AND night >= :first
ORDER BY first_night, night, model_version, ring
""",
    (HABITABILITY_RING,),
)

MATCHES = Query(
    "matches",
    "Objects at the places of known strange ones, unambiguous and nearest first; our class beside it",
    """
WITH placed AS (
  SELECT *, row_number() OVER (PARTITION BY night ORDER BY status DESC, separation_arcsec, object_id, catalogue) AS place,
         count(*) OVER (PARTITION BY night) AS n_all
  FROM {catalogue_matches} WHERE survey = :survey AND night BETWEEN :first AND :last)
SELECT m.night, s.model_version, m.n_all, m.object_id, m.catalogue, m.name, m.type, m.separation_arcsec, m.status, s.`class`, s.p_class
FROM placed m
LEFT JOIN {scores} s ON s.survey = m.survey AND s.object_id = m.object_id AND s.night = m.night
WHERE m.place <= :n_anomalies
ORDER BY m.night, m.place
""",
    (CATALOGUE_MATCHES, SCORES),
)

SEARCH_QUERIES: tuple[Query, ...] = (OUTCOMES, HABITABILITY, HABITABILITY_MAP, RINGS, TECHNOSIGNATURES, INTERSTELLAR, MATCHES)
