"""What stands between frames and a network: its inputs of a frame, and labels of all points of what it scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pointata.frame import Frame
from pointata.prediction import PointLabels


@dataclass(frozen=True)
class Crop:
    """Points that a deployment leaves out, beside those that a bundle leaves out itself."""

    min_range_m: float = 0.0
    """Nearer points, metres."""
    max_range_m: float = 0.0
    """Farther points, metres; 0 for none."""
    drop_zeros: bool = True
    """Points at exactly (0, 0, 0): what drivers write where no echo came back."""


class Prepared(Protocol):
    """What a network sees of a frame, as its preprocessor made it; belongs to no stream yet."""

    @property
    def no_return(self) -> int:
        """Points of the frame's own message left out because they are (0, 0, 0)."""
        ...


class Preprocessor(Protocol):
    """How frames become inputs of a network; made for one bundle and one deployment, used by several threads."""

    def prepare(self, frame: Frame) -> Prepared:
        """All that can be done before a frame's turn: sampling, projection, scaling of images.

        Raises:
            DataError: the frame cannot be used (too few points within range, a feature is missing).
        """
        ...

    def inputs(self, prepared: Any, elapsed_s: float) -> Any:
        """A stream's frame as its network takes it: a dataclass of tensors on the CPU, the first axis of size 1.

        Args:
            prepared: as `prepare` gave it.
            elapsed_s: time since the first frame of the stream, seconds.
        """
        ...

    def upsample(
        self, frame: Frame, prepared: Any, scores: Mapping[str, NDArray[np.float32]]
    ) -> Mapping[str, PointLabels]:
        """Labels of all points of a frame's own message, of the probabilities (..., C) of what the network scored.

        Both by task, of those that score points.
        """
        ...

    def made_up(self, number: int) -> Frame:
        """The n-th frame of a made-up sensor that moves, with all that the network needs: to warm up with."""
        ...
