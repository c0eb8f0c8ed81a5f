"""What makes an object unusual, as columns of `anomalies`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deeprubin_spark import arrow
from deeprubin_spark.arrow import spread
from deeprubin_spark.models.novelty import COMPONENTS, Anomaly, Latents
from deeprubin_spark.models.published import Judged, PublishedModel
from deeprubin_spark.models.uncertainty import entropy
from deeprubin_spark.schemas import ANOMALIES

NEAREST_BELOW = 0.1  # false-alarm rate: to look for the nearest known objects costs more than all the rest
_TOP_FEATURES = 5
_COLUMN_OF = {name: "s_phys" if name == "physical" else name for name in COMPONENTS}
_NUMBERS = ("score", "false_alarm_rate", "entropy", *_COLUMN_OF.values())
MADE_HERE = frozenset((*_NUMBERS, "most_telling", "nearest_class", "nearest_objects", "best_model", "contributions"))


def anomaly_columns(judged: Judged, values: NDArray[np.floating], model: PublishedModel, ranked: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """The columns MADE_HERE of B objects, NULL but for those that are `ranked` (B,), of which `judged` and feature values are."""
    made = model.anomaly(judged, values)
    components = {_COLUMN_OF[name]: of for name, of in made.seen.components.items()}
    numbers = {
        "score": made.score,
        "false_alarm_rate": made.false_alarm_rate,
        "entropy": entropy(judged.prediction.probabilities),
        **components,
    }
    classes = pa.array(model.classes, pa.string())
    columns = {
        **{name: arrow.nullable(numbers[name], pa.float32()) for name in _NUMBERS},
        "most_telling": pa.array([*_COLUMN_OF.values()], pa.string()).take(pa.array(made.most_telling)),
        "nearest_class": classes.take(pa.array(made.seen.nearest_class)),
        "nearest_objects": _nearest(model.latents, made, classes),
        "best_model": pa.array(made.seen.best_model.astype(object), pa.string(), mask=made.seen.best_model == ""),
        "contributions": _contributions(made, values, model),
    }
    return {name: spread(column, ranked) for name, column in columns.items()}


def _nearest(latents: Latents, made: Anomaly, classes: pa.Array) -> pa.Array:
    """Lists of known objects; NULL where the object is not unusual."""
    asked = made.false_alarm_rate < NEAREST_BELOW
    places, distances = latents.nearest(made.seen.coordinates[asked])
    fields = {
        "object_id": pa.array(latents.object_id[places.ravel()].astype(object), pa.string()),
        "class": classes.take(pa.array(latents.known_class[places.ravel()])),
        "distance": pa.array(distances.ravel(), pa.float32()),
    }
    offsets = np.arange(len(places) + 1, dtype=np.int64) * places.shape[1]
    return spread(arrow.lists_of_records(fields, offsets, ANOMALIES.column("nearest_objects").arrow_type()), asked)


def _contributions(made: Anomaly, values: NDArray[np.floating], model: PublishedModel) -> pa.Array:
    """Lists of the features that isolate each object."""
    order = np.argsort(-made.seen.shares, axis=1, kind="stable")[:, :_TOP_FEATURES]
    fields = {
        "feature": pa.array(model.features, pa.string()).take(pa.array(order.ravel())),
        "value": arrow.nullable(np.take_along_axis(values, order, axis=1).ravel(), pa.float32()),
        "share": pa.array(np.take_along_axis(made.seen.shares, order, axis=1).ravel(), pa.float32()),
    }
    offsets = np.arange(len(values) + 1, dtype=np.int64) * order.shape[1]
    return arrow.lists_of_records(fields, offsets, ANOMALIES.column("contributions").arrow_type())
