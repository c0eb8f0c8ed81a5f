"""Labelled features to a published model: pinned export, Petastorm, Horovod on Spark. Nothing of the night imports this package."""
