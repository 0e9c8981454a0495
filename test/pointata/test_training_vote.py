"""The vote of a video's clips during training, against the one of evaluation and by hand."""

import numpy as np
import torch

from pointata.evaluation.metrics.vote import VideoVote
from pointata.training.vote import VideoVoteAccuracy


def test_vote_by_hand() -> None:
    """Two clips lean to class 0 a little, one to class 1 a lot: the sum decides, not the number."""
    vote = VideoVoteAccuracy(videos=3, classes=2)
    vote.update(torch.tensor([0, 0]), torch.tensor([[0.6, 0.4], [0.6, 0.4]]), torch.tensor([1, 1]))
    assert vote.compute() == 0
    vote.update(torch.tensor([0, 1]), torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, -1]))
    assert vote.compute() == 1  # video 1 has no class, video 2 no clip


def test_both_votes_agree() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        videos = rng.integers(6, size=40)
        truth = rng.integers(4, size=6)[videos]
        logits = rng.normal(size=(40, 4)) + 0.7 * np.eye(4)[truth]
        other = VideoVote(["a", "b", "c", "d"])
        other.update([str(video) for video in videos], truth, logits)
        vote = VideoVoteAccuracy(6, 4)
        for part in np.array_split(np.arange(40), 3):
            shares = torch.from_numpy(logits[part]).softmax(-1).float()
            vote.update(torch.from_numpy(videos[part]), shares, torch.from_numpy(truth[part]))
        assert abs(float(vote.compute()) - other.figures()["video_accuracy"]) < 1e-6
