"""A deployed network on a stream of frames: prepare, step, results."""
