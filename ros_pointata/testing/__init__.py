"""Whole runs of the node, as tests, benchmarks and demonstrations need them: processes, and their lifecycle."""
