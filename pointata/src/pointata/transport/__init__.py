"""Optimal transport between sets of features: Sinkhorn divergence, OTDD and, to compare with, MMD."""
