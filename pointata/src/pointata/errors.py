"""The errors this package raises on purpose; every message says what was wrong, where, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any


class PointataError(Exception):
    """Base of all errors raised by pointata."""


class DataError(PointataError):
    """A recording, a file or a frame that cannot be used as given."""


class TooFewPointsError(DataError):
    """A frame that has too few points, or points on too few places, to say anything about."""


class BundleError(PointataError):
    """A weight bundle that is damaged, or does not fit the backbone or the configuration at hand."""


class InferenceError(PointataError):
    """Scores or state of a stream that are not finite numbers: its window was emptied, it can go on.

    Attributes:
        streams: numbers of the streams that it happened to.
        answered: what the others of the same call answered, a `pointata.prediction.Prediction` by stream number.
    """

    def __init__(self, reason: str, streams: Sequence[int], answered: Mapping[int, Any] = {}) -> None:
        super().__init__(reason)
        self.streams = tuple(streams)
        self.answered = dict(answered)


class ConfigError(PointataError):
    """A setting outside its range, or settings that contradict each other."""


class UsageError(ConfigError):
    """Arguments that a command does not take."""


class InstallationError(PointataError):
    """A library that this installation lacks."""
