"""Bundles: files of weights with a description of what they hold."""
