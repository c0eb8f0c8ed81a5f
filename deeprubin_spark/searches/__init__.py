"""Candidates among what a night touched: what deserves a second look, with the natural explanation that is not excluded."""
