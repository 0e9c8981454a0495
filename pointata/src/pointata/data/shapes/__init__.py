"""Shapes to pre-train on."""
