"""The way of a frame through a deployed network: prepare, step, results."""
