"""The errors this package raises on purpose; every message says what was wrong, where, and what to do."""


class PointataError(Exception):
    """Base of all errors raised by pointata."""


class DataError(PointataError):
    """A recording, a file or a frame that cannot be used as given."""


class TooFewPointsError(DataError):
    """A frame that has too few points, or points on too few places, to say anything about."""


class BundleError(PointataError):
    """A weight bundle that is damaged, or does not fit the backbone or the configuration at hand."""


class ConfigError(PointataError):
    """A setting outside its range, or settings that contradict each other."""


class UsageError(ConfigError):
    """Arguments that a command does not take."""


class InstallationError(PointataError):
    """A library that this installation lacks."""
