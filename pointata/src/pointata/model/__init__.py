"""The network, its trainable parts and the bundles it is stored in."""
