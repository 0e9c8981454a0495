"""The network and its parts, frozen and trainable."""
