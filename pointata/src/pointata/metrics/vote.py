"""Action recognition scored over whole videos, whose clips or frames vote."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.metrics.confusion import ConfusionMatrix

_NO_CLIP = -1


class VideoVote:
    """The class of videos by the protocol used for MSR-Action3D.

    The probabilities of a video's clips are summed; the class with the largest sum is the video's, none where all are
    0. Every video then counts once, however many clips it gave.

    Attributes:
        sums: (V, C) float64, sum of the probabilities of each video's clips.
        truth: (V,) int64, class of each video, 255 where unknown; -1 for a video without a clip so far.
    """

    def __init__(self, names: Sequence[str], videos: int) -> None:
        """Args: names: C class names, by class id. videos: V, how many there are; they are numbered from 0."""
        self._names = tuple(names)
        self.sums: NDArray[np.float64] = np.zeros((videos, len(names)))
        self.truth: NDArray[np.int64] = np.full(videos, _NO_CLIP)

    def update(
        self, videos: NDArray[np.integer], truth: NDArray[np.integer], probabilities: NDArray[np.floating]
    ) -> None:
        """Add clips, in any order; those of one video may come in several calls.

        Args:
            videos: (B,) number of the video that each clip was cut from.
            truth: (B,) class id of each clip, 255 where unknown; the same for all clips of a video.
            probabilities: (B, C), finite.

        Raises:
            DataError: the shapes do not fit, a probability is not finite, or a video has clips of different classes.
                Nothing is counted then.
        """
        clips, classes = len(videos), self.sums.shape[1]
        if truth.shape != (clips,) or probabilities.shape != (clips, classes):
            raise DataError(
                f"{clips} clips of {classes} classes need truth ({clips},) and probabilities ({clips}, {classes}), "
                f"got {truth.shape} and {probabilities.shape}"
            )
        if not np.isfinite(probabilities).all():
            worst = int(np.flatnonzero(~np.isfinite(probabilities).all(axis=1))[0])
            raise DataError(
                f"the probabilities of a clip of video {videos[worst]} are not finite: the network diverged"
            )
        ConfusionMatrix(self._names).update(truth, truth)  # refuses what is not a class
        known = self.truth.copy()
        known[videos] = truth
        before = self.truth[videos]
        other = (known[videos] != truth) | ((before != _NO_CLIP) & (before != truth))
        if other.any():
            video = int(videos[other][0])
            raise DataError(f"video {video} has clips of different classes: a vote needs one class for each video")
        self.truth = known
        np.add.at(self.sums, videos, probabilities)

    @property
    def videos(self) -> ConfusionMatrix:
        """Confusion of the videos that gave a clip, one sample each."""
        matrix = ConfusionMatrix(self._names)
        voted = self.truth != _NO_CLIP
        if voted.any():
            sums = self.sums[voted]
            matrix.update(self.truth[voted], np.where(sums.any(axis=1), sums.argmax(axis=1), UNLABELLED))
        return matrix
