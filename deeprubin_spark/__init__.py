"""DeepRubin on Spark: a survey's alert archive to light curves, features, class probabilities and anomalies, in Delta tables."""

__version__ = "0.1.0"
