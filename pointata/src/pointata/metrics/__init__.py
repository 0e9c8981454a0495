"""Metrics: confusion matrices and what is made of them."""
