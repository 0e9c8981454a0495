"""Recordings, data sets and the simulator: one small module each."""
