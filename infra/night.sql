-- What the objects of the night are, by the network's most probable class
SELECT class, count(*) AS objects, round(avg(p_class), 2) AS mean_p, round(avg(epistemic), 3) AS mean_epistemic
FROM scores WHERE survey = 'ztf' AND night = DATE'2018-11-29' AND status = 'scored'
GROUP BY class ORDER BY objects DESC, class;

-- A type Ia supernova on the nights that saw it: how the answer grew with the data
SELECT night, n_detections, status, class, round(p_class, 2) AS p, round(probabilities['SNIa'], 2) AS p_snia
FROM scores WHERE survey = 'ztf' AND object_id = 'ZTF19aazzpje' ORDER BY night;

-- The oddest objects of the night, and why
SELECT rank, object_id, round(score, 3) AS score, nearest_class, transform(slice(contributions, 1, 3), c -> c.feature) AS because_of
FROM anomalies WHERE survey = 'ztf' AND night = DATE'2018-11-29' AND status = 'ranked' ORDER BY rank LIMIT 5
