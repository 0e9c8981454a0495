"""Measuring a bundle on recordings: scores, and what they may be compared with."""
