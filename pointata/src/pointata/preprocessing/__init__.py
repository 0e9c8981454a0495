"""From a recorded frame to what the network takes."""
