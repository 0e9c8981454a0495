"""What exists between configure and cleanup: one lane per sensor, and the network that answers them all."""
