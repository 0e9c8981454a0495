"""Video-level vote as a torchmetrics metric, so that it counts over all processes of a training."""

import torch
from torch import Tensor
from torchmetrics import Metric


class VideoVoteAccuracy(Metric):
    """Share of videos whose class is right when their clips' probabilities are summed (MSR-Action3D's protocol)."""

    scores: Tensor
    truth: Tensor

    def __init__(self, videos: int, classes: int) -> None:
        super().__init__()
        self.add_state("scores", torch.zeros(videos, classes, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("truth", torch.full((videos,), -1), dist_reduce_fx="max")

    def update(self, videos: Tensor, probabilities: Tensor, truth: Tensor) -> None:
        """Add clips.

        Args:
            videos: (B,) int64, which video each clip was cut from, 0 to videos - 1.
            probabilities: (B, C).
            truth: (B,) int64, the video's class; -1 where unknown (the video then does not count).
        """
        self.scores.index_add_(0, videos, probabilities.to(self.scores.dtype))
        self.truth[videos] = truth

    def compute(self) -> Tensor:
        """Accuracy over the videos with clips of known class, () float32; 0 where there are none."""
        known = self.truth >= 0
        right = self.scores.argmax(dim=1) == self.truth
        return right[known].float().mean() if known.any() else torch.zeros(())
