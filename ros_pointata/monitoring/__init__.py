"""What the node counts and knows of its own state, and who is told."""
