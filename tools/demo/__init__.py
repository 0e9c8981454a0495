"""The demonstration: simulated scenes replayed to the running node, and a page about what it answered."""
