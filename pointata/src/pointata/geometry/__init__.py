"""Sampling, neighbours and rigid transforms."""
