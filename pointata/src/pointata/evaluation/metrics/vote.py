"""Action recognition scored over clips and over whole videos, whose clips vote."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pointata.errors import DataError
from pointata.evaluation.metrics.confusion import ConfusionMatrix
from pointata.evaluation.metrics.summary import accuracy


class VideoVote:
    """Accuracy over clips and over videos, by the protocol used for MSR-Action3D.

    A video's clips are softened to probabilities and summed; the class with the largest sum is the video's. Every video
    then counts once, however many clips it gave.

    Attributes:
        clips: confusion of the clips, each on its own.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Args: names: C class names, by class id."""
        self.clips = ConfusionMatrix(names)
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._truth: dict[str, int] = {}

    def update(self, videos: Sequence[str], truth: NDArray[np.integer], logits: NDArray[np.floating]) -> None:
        """Add clips, in any order; those of one video may come in several calls.

        Args:
            videos: B names, which video each clip was cut from.
            truth: (B,) class id of each clip, 255 where unknown; the same for all clips of a video.
            logits: (B, C) scores before the softmax, finite; log-probabilities serve as well.

        Raises:
            DataError: the shapes do not fit, a logit is not finite, or a video has clips of different classes. Nothing
                is counted then.
        """
        classes = len(self.clips.names)
        if truth.shape != (len(videos),) or logits.shape != (len(videos), classes):
            raise DataError(
                f"{len(videos)} clips of {classes} classes need truth ({len(videos)},) and logits "
                f"({len(videos)}, {classes}), got {truth.shape} and {logits.shape}"
            )
        if not np.isfinite(logits).all():
            worst = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
            raise DataError(f"the logits of a clip of video {videos[worst]} are not finite: the network diverged")
        known = dict(self._truth)
        for video, label in zip(videos, truth.tolist(), strict=True):
            if known.setdefault(video, label) != label:
                raise DataError(f"video {video} has clips of class {known[video]} and of class {label}")
        self.clips.update(truth, logits.argmax(axis=1))
        self._truth = known
        for video, share in zip(videos, softmax(logits.astype(np.float64), axis=1), strict=True):
            self._sums[video] = self._sums.get(video, 0.0) + share

    @property
    def videos(self) -> ConfusionMatrix:
        """Confusion of the videos, one sample each."""
        matrix = ConfusionMatrix(self.clips.names)
        truth = np.array(list(self._truth.values()), np.int64)
        predicted = np.array([self._sums[video].argmax() for video in self._truth], np.int64)
        matrix.update(truth, predicted)
        return matrix

    def figures(self) -> dict[str, float]:
        """Shares of clips and of videos whose class is right, 0 to 1, and how many there were."""
        videos = self.videos
        return {
            "clip_accuracy": accuracy(self.clips),
            "video_accuracy": accuracy(videos),
            "clips": self.clips.total,
            "videos": videos.total,
        }
