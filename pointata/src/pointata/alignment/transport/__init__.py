"""Optimal transport between data sets."""
