"""Alerts to light-curve segments, segments to light curves, light curves to features."""
