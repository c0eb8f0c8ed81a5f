"""The steps of the night and of training, each a thin file; installed as `deeprubin_spark.jobs`."""
