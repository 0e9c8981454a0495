"""The user's own recordings, described by a manifest."""
