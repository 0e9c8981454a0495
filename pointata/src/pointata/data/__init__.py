"""Recordings, data sets and the simulator."""
