"""Networks, their inputs and losses, the baselines beside them, and the published form of a trained model. No Spark here."""
