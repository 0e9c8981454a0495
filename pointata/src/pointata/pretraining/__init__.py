"""Training of the 3D backbone on single frames: masked autoencoding, and classification as its check."""
