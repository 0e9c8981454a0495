"""Stage 1: align the embedder by optimal transport."""
