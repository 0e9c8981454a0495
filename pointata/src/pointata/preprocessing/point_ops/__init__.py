"""Sampling and neighbours of large clouds, on a CPU and on a GPU."""
