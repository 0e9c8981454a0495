"""The vote of a video's clips against hand cases, torch and a direct reading of the protocol."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.metrics.summary import accuracy, recall_per_class
from pointata.metrics.vote import VideoVote

NAMES = ("wave", "clap", "kick")


def clips(seed: int, videos: int = 30) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Videos of 1 to 9 clips in random order, right more often than not: video, truth and logits of each clip."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(videos), rng.integers(1, 10, videos))
    rng.shuffle(owner)
    truth = rng.integers(0, 3, videos)[owner]
    logits = rng.normal(0, 2, (len(owner), 3)).astype(np.float32)
    logits[np.arange(len(owner)), truth] += 1.0
    return owner, truth, logits


def test_hand_case() -> None:
    vote = VideoVote(NAMES, 3)
    # two hesitant clips for wave, one sure of clap: 0.5 + 0.5 + 0.05 against 0.4 + 0.4 + 0.9
    of_first = np.array([(0.5, 0.4, 0.1), (0.5, 0.4, 0.1), (0.05, 0.9, 0.05)])
    vote.update(np.array([0, 0, 0]), np.array([1, 1, 1]), of_first)
    vote.update(np.array([2]), np.array([0]), np.array([(0.2, 0.2, 0.6)]))
    assert vote.videos.counts.tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]  # video 1 gave no clip
    assert accuracy(vote.videos) == 0.5


def test_every_video_counts_once() -> None:
    vote = VideoVote(NAMES, 2)
    vote.update(np.zeros(9, np.int64), np.zeros(9, np.int64), np.tile((0.8, 0.1, 0.1), (9, 1)))
    vote.update(np.array([1]), np.array([0]), np.array([(0.1, 0.8, 0.1)]))
    assert accuracy(vote.videos) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_protocol_read_literally_in_torch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    owner, truth, logits = clips(seed)
    vote = VideoVote(NAMES, 30)
    for start in range(0, len(owner), 7):  # a video's clips come in several batches
        part = slice(start, start + 7)
        vote.update(owner[part], truth[part], softmax(logits[part], axis=1))

    shares = torch.softmax(torch.from_numpy(logits).double(), dim=1)
    summed: dict[int, Any] = defaultdict(lambda: torch.zeros(3, dtype=torch.float64))
    label = {}
    for video, row, target in zip(owner.tolist(), shares, truth.tolist(), strict=True):
        summed[video], label[video] = summed[video] + row, target
    right = [int(summed[video].argmax()) == label[video] for video in summed]
    assert accuracy(vote.videos) == pytest.approx(sum(right) / len(right))
    assert vote.videos.total == 30
    for k, recall in enumerate(recall_per_class(vote.videos)):
        mine = [hit for hit, video in zip(right, summed, strict=True) if label[video] == k]
        assert recall == pytest.approx(sum(mine) / len(mine))


def test_order_and_batches_do_not_matter() -> None:
    owner, truth, logits = clips(4)
    shares = softmax(logits.astype(np.float64), axis=1)
    vote, other = VideoVote(NAMES, 30), VideoVote(NAMES, 30)
    vote.update(owner, truth, shares)
    for index in np.random.default_rng(0).permutation(len(owner)):
        part = slice(index, index + 1)
        other.update(owner[part], truth[part], shares[part])
    assert other.videos.counts.tolist() == vote.videos.counts.tolist()


def test_perfect_clips_give_perfect_videos() -> None:
    owner, truth, _ = clips(5)
    vote = VideoVote(NAMES, 30)
    vote.update(owner, truth, np.eye(3)[truth])
    assert (accuracy(vote.videos), vote.videos.total) == (1.0, 30)


def test_nothing_seen_and_nothing_known() -> None:
    vote = VideoVote(NAMES, 1)
    assert math.isnan(accuracy(vote.videos))
    vote.update(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))
    vote.update(np.array([0]), np.array([UNLABELLED]), np.zeros((1, 3)))
    assert vote.videos.total == 0


@pytest.mark.parametrize(
    ("videos", "truth", "probabilities", "message"),
    [
        ([1], [0, 1], np.zeros((1, 3)), r"got \(2,\) and \(1, 3\)"),
        ([1], [0], np.zeros((1, 4)), r"got \(1,\) and \(1, 4\)"),
        ([1], [0], np.zeros(3), r"and \(3,\)"),
        ([1, 2], [0, 0], np.array([[0, 0, 0], [0, np.nan, 0]]), "video 2 are not finite"),
        ([1, 1], [0, 1], np.zeros((2, 3)), "video 1 has clips of different classes"),
        ([0], [1], np.zeros((1, 3)), "video 0 has clips of different classes"),
        ([1], [3], np.zeros((1, 3)), "truth holds class 3"),
    ],
)
def test_refuses(videos: list[int], truth: list[int], probabilities: NDArray[np.float64], message: str) -> None:
    vote = VideoVote(NAMES, 3)
    vote.update(np.array([0]), np.array([0]), np.array([(0.8, 0.1, 0.1)]))
    before = (vote.sums.tolist(), vote.truth.tolist())
    with pytest.raises(DataError, match=message):
        vote.update(np.array(videos), np.array(truth), probabilities)
    assert (vote.sums.tolist(), vote.truth.tolist()) == before
