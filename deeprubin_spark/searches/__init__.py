"""Searches for the unexpected: they read tables that scoring and preprocessing wrote."""
