"""Published model versions."""

from deeprubin_spark.schemas.contract import Column, Table

MODELS = Table(
    "models",
    doc="Published model versions: where each directory lies and what it was trained on.",
    version=1,
    key=("model_version",),
    columns=(
        Column("model_version", "string", ucd="meta.version", doc="Name of the published directory", required=True),
        Column("published_at", "timestamp", doc="When it was published", required=True),
        Column("location", "string", doc="Directory with manifest and weights", required=True),
        Column("contract_version", "int", doc="Version of the features contract it reads", required=True),
        Column("feature_set", "string", doc="Feature set it reads", required=True),
        Column("code_version", "string", doc="Version of this package that trained it", required=True),
        Column("training_data", "string", doc="Training set, with survey and folds", required=True),
        Column("training_sha256", "string", doc="Hash of the exported Parquet", required=True),
        Column("n_training_objects", "long", unit="1", doc="Objects trained on", required=True),
        Column("metrics", "map<string,double>", doc="Metrics on held-out objects"),
        Column("manifest", "string", doc="The manifest, as JSON", required=True),
    ),
)
