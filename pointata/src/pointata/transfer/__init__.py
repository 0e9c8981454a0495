"""Training of the network on point videos."""
