"""From a recorded frame to the points that the network takes: which frames, and which of their points."""
