"""Bundles: the files of weights, and what they say of themselves."""
