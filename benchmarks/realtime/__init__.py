"""The parts of benchmarks/bench.py: each measures one thing and returns plain data."""
