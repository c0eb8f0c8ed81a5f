"""Classes that ALeRCE's classifiers give to ZTF objects, as rows of labels, and what they are in our taxonomy.

Classifiers: lc_classifier (Sanchez-Saez et al. 2021), stamp_classifier (Carrasco-Davis et al. 2021), and the later BHRF and ATAT ones.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any

from deeprubin_spark.ingestion.alerce_points import Record, number
from deeprubin_spark.schemas.taxonomy_map import ALERCE, class_of

# A label speaks of the ZTF object itself, whoever holds its light curve.
LABELLED_SURVEY = "ztf"

# Our class where theirs is the same or lies inside it; None where theirs is wider, since choosing would be guessing. First the 15 of lc_classifier.
CLASS_OF_LABEL: dict[str, str | None] = {
    **{theirs.code: class_of("alerce").get(theirs.code) for theirs in ALERCE},
    "SNIIn": "SNII",  # PLAsTiCC's SNII holds IIn (Kessler et al. 2019)
    "SNIIb": None,  # between II and Ib
    "SN": None,
    "TDE": "TDE",
    "Microlensing": "Microlensing",
    "EA": "EB",
    "EB/EW": "EB",
    "RRLab": "RRL",
    "RRLc": "RRL",
    "RSCVn": None,
    "VS": None,
    "asteroid": None,  # gates, not classes
    "bogus": None,
    "Transient": None,
    "Stochastic": None,
    "Periodic": None,
}


def label_rows(object_id: str, probabilities: Sequence[Record], labelled_on: dt.date) -> list[tuple[Any, ...]]:
    """Rows of labels, in its column order: the first class of each version of each classifier (rank 1, else the most probable)."""
    first: dict[str, tuple[Any, ...]] = {}
    best: dict[str, tuple[float, float, str]] = {}
    for record in probabilities:
        classifier, label = record.get("classifier_name"), record.get("class_name")
        if not classifier or not label:
            continue
        source = f"alerce:{classifier}:{record.get('classifier_version') or 'unknown'}"
        probability, rank = number(record, "probability"), number(record, "ranking")
        place = (rank if math.isfinite(rank) else math.inf, -probability if math.isfinite(probability) else 0.0, str(label))
        if source not in best or place < best[source]:
            best[source] = place
            stated = min(max(probability, 0.0), 1.0) if -1e-6 <= probability <= 1.0 + 1e-6 else None
            first[source] = (LABELLED_SURVEY, object_id, source, labelled_on, str(label), CLASS_OF_LABEL.get(str(label)), stated)
    return [first[source] for source in sorted(first)]
