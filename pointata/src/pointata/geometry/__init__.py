"""Poses, axes and neighbours of points."""
