"""What a network and its bundle need to know of the data that are trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.classes import ClassInfo
from pointata.preprocessing.sampling import SamplingConfig


@dataclass(frozen=True)
class DataDescription:
    """Data of a training, known before any of them is read."""

    heads: Mapping[str, tuple[ClassInfo, ...]]
    """Classes of the tasks that are trained."""
    own_heads: tuple[str, ...]
    """Tasks that the data set has labels for: "segments" where frames, not whole videos, have an action."""
    features: tuple[str, ...]
    """Point channels besides x, y, z."""
    sampling: SamplingConfig
    """How frames are sampled and normalised."""
    frame_period_s: float
    """Nominal time between frames, seconds."""
    merge: int
    """Clouds of the sensor that were joined into each frame."""
    shortest_clip: int
    """Frames of the shortest clip, in training or validation."""
    validation_videos: int
    """How many videos are validated on."""
    seed: int
    """Of the clips that are drawn."""
    simulated: bool
    """Whether no sensor saw any of it."""
    licence: str
    """Of the data; empty where it is not known."""
    provenance: Mapping[str, Any]
    """What a bundle keeps of the data it was trained on, as plain data."""
    class_counts: Callable[[str], NDArray[np.int64]]
    """Points of each class of a task in the training recordings, (C,); to be asked once they are read."""
