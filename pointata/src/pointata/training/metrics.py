"""`pointata.metrics` as torchmetrics, whose states Lightning adds up over all processes of a training."""

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

from pointata.classes import UNLABELLED
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import accuracy
from pointata.metrics.vote import VideoVote


def _names(classes: int) -> list[str]:
    return [str(number) for number in range(classes)]


class ConfusionMetric(Metric):
    """A figure of a `ConfusionMatrix`; 0 where nothing was labelled."""

    full_state_update = False
    counts: Tensor

    def __init__(self, classes: int, figure: Callable[[ConfusionMatrix], float]) -> None:
        """Args: classes: C. figure: of the matrix of all samples, `accuracy` for example."""
        super().__init__()
        self._figure = figure
        self.add_state("counts", torch.zeros(classes, classes + 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, truth: Tensor, logits: Tensor) -> None:
        """Add samples.

        Args:
            truth: (N,) int64 class ids; 255 and -1 stand for unknown.
            logits: (N, C) scores, of which the largest is the prediction; a row that is not finite predicts nothing.
        """
        matrix = ConfusionMatrix(_names(len(self.counts)))
        known = truth.where(truth >= 0, UNLABELLED)
        predicted = logits.argmax(dim=-1).where(logits.isfinite().all(dim=-1), UNLABELLED)
        matrix.update(known.cpu().numpy(), predicted.cpu().numpy())
        self.counts += torch.from_numpy(matrix.counts).to(self.counts.device)

    @property
    def matrix(self) -> ConfusionMatrix:
        """What this process has counted so far; inside `compute`, what all have."""
        return ConfusionMatrix(_names(len(self.counts)), self.counts.cpu().numpy())

    def compute(self) -> Tensor:
        """The figure, () float32."""
        return torch.tensor(self._figure(self.matrix)).nan_to_num()


class VoteMetric(Metric):
    """Share of the videos whose class is right by `VideoVote`; 0 where there are none."""

    full_state_update = False
    sums: Tensor
    truth: Tensor

    def __init__(self, videos: int, classes: int) -> None:
        super().__init__()
        vote = VideoVote(_names(classes), videos)
        self.add_state("sums", torch.from_numpy(vote.sums), dist_reduce_fx="sum")
        self.add_state("truth", torch.from_numpy(vote.truth), dist_reduce_fx="max")

    def update(self, videos: Tensor, truth: Tensor, probabilities: Tensor) -> None:
        """Add clips.

        Args:
            videos: (B,) int64, which video each clip was cut from, 0 to videos - 1.
            truth: (B,) int64, the video's class; -1 where unknown (the video then does not count).
            probabilities: (B, C) of any float type; a row that is not finite, of a network that diverged, gives none of
                its votes.
        """
        vote = self._vote()
        votes = probabilities.float()
        votes = votes.where(votes.isfinite().all(dim=-1, keepdim=True), 0.0)
        known = truth.where(truth >= 0, UNLABELLED)
        vote.update(videos.cpu().numpy(), known.cpu().numpy(), votes.cpu().numpy())
        self.sums, self.truth = (torch.from_numpy(part).to(videos.device) for part in (vote.sums, vote.truth))

    def _vote(self) -> VideoVote:
        vote = VideoVote(_names(self.sums.shape[1]), len(self.sums))
        vote.sums, vote.truth = self.sums.cpu().numpy().copy(), self.truth.cpu().numpy().copy()
        return vote

    def compute(self) -> Tensor:
        """Accuracy over the videos with clips of known class, () float32."""
        return torch.tensor(accuracy(self._vote().videos)).nan_to_num()
