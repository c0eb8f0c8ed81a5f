"""Features and a published model to scores and anomalies."""
