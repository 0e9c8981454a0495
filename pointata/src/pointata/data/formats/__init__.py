"""Layouts of recordings and data sets, one module each."""
