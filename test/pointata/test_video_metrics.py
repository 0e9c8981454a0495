"""The vote of a video's clips against hand cases, torch and a direct reading of the protocol."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.evaluation.metrics.summary import accuracy, recall_per_class
from pointata.evaluation.metrics.vote import VideoVote

NAMES = ("wave", "clap", "kick")


def logs(*rows: tuple[float, ...]) -> NDArray[np.float64]:
    """Log-probabilities of rows of probabilities."""
    return np.log(np.array(rows))


def clips(seed: int, videos: int = 30) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """Videos of 1 to 9 clips in random order, right more often than not."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(videos), rng.integers(1, 10, videos))
    rng.shuffle(owner)
    truth = rng.integers(0, 3, videos)[owner]
    logits = rng.normal(0, 2, (len(owner), 3)).astype(np.float32)
    logits[np.arange(len(owner)), truth] += 1.0
    return [f"v{video}" for video in owner], truth, logits


def test_hand_case() -> None:
    vote = VideoVote(NAMES)
    # two hesitant clips for wave, one sure of clap: 0.5 + 0.5 + 0.0 against 0.4 + 0.4 + 0.9
    vote.update(["x", "x", "x"], np.array([1, 1, 1]), logs((0.5, 0.4, 0.1), (0.5, 0.4, 0.1), (0.05, 0.9, 0.05)))
    vote.update(["y"], np.array([0]), logs((0.2, 0.2, 0.6)))
    assert vote.clips.counts.tolist() == [[0, 0, 1, 0], [2, 1, 0, 0], [0, 0, 0, 0]]
    assert vote.videos.counts.tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert vote.figures() == {"clip_accuracy": 0.25, "video_accuracy": 0.5, "clips": 4, "videos": 2}


def test_every_video_counts_once() -> None:
    vote = VideoVote(NAMES)
    vote.update(["long"] * 9, np.zeros(9, np.int64), np.tile(logs((0.8, 0.1, 0.1)), (9, 1)))
    vote.update(["short"], np.array([0]), logs((0.1, 0.8, 0.1)))
    assert vote.figures()["clip_accuracy"] == pytest.approx(0.9)
    assert vote.figures()["video_accuracy"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_protocol_read_literally_in_torch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    names, truth, logits = clips(seed)
    vote = VideoVote(NAMES)
    for start in range(0, len(names), 7):  # a video's clips come in several batches
        part = slice(start, start + 7)
        vote.update(names[part], truth[part], logits[part])

    shares = torch.softmax(torch.from_numpy(logits).double(), dim=1)
    summed: dict[str, Any] = defaultdict(lambda: torch.zeros(3, dtype=torch.float64))
    label = {}
    for name, row, target in zip(names, shares, truth.tolist(), strict=True):
        summed[name], label[name] = summed[name] + row, target
    right = [int(summed[name].argmax()) == label[name] for name in summed]
    assert vote.figures()["video_accuracy"] == pytest.approx(sum(right) / len(right))
    assert vote.figures()["videos"] == 30
    for k, recall in enumerate(recall_per_class(vote.videos)):
        mine = [hit for hit, name in zip(right, summed, strict=True) if label[name] == k]
        assert recall == pytest.approx(sum(mine) / len(mine))


def test_clip_accuracy_equals_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    names, truth, logits = clips(3, videos=200)
    vote = VideoVote(NAMES)
    vote.update(names, truth, logits)
    arguments = torch.from_numpy(logits), torch.from_numpy(truth)
    micro = classification.MulticlassAccuracy(num_classes=3, average="micro")(*arguments).item()
    assert vote.figures()["clip_accuracy"] == pytest.approx(micro, abs=1e-6)
    matrix = classification.MulticlassConfusionMatrix(num_classes=3)(*arguments).numpy()
    np.testing.assert_array_equal(vote.clips.counts[:, :3], matrix)


def test_order_batches_and_added_constants_do_not_matter() -> None:
    names, truth, logits = clips(4)
    vote, other = VideoVote(NAMES), VideoVote(NAMES)
    vote.update(names, truth, logits)
    for index in np.random.default_rng(0).permutation(len(names)):
        shifted = logits[index : index + 1] + 1000.0 * (index % 3)  # a softmax does not see a constant
        other.update([names[index]], truth[index : index + 1], shifted.astype(np.float64))
    assert other.figures() == vote.figures()


def test_perfect_clips_give_perfect_videos() -> None:
    names, truth, _ = clips(5)
    vote = VideoVote(NAMES)
    vote.update(names, truth, np.eye(3)[truth])
    assert vote.figures() == {"clip_accuracy": 1.0, "video_accuracy": 1.0, "clips": len(names), "videos": 30}


def test_nothing_seen_and_nothing_known() -> None:
    vote = VideoVote(NAMES)
    assert math.isnan(accuracy(vote.videos))
    vote.update([], np.zeros(0, np.int64), np.zeros((0, 3)))
    vote.update(["x"], np.array([UNLABELLED]), np.zeros((1, 3)))
    assert (vote.figures()["clips"], vote.figures()["videos"]) == (0, 0)


@pytest.mark.parametrize(
    ("names", "truth", "logits", "message"),
    [
        (["x"], [0, 1], np.zeros((1, 3)), r"got \(2,\) and \(1, 3\)"),
        (["x"], [0], np.zeros((1, 4)), r"got \(1,\) and \(1, 4\)"),
        (["x"], [0], np.zeros(3), r"and \(3,\)"),
        (["x", "y"], [0, 0], np.array([[0, 0, 0], [0, np.nan, 0]]), "video y are not finite"),
        (["x", "x"], [0, 1], np.zeros((2, 3)), "video x has clips of class 0 and of class 1"),
        (["first"], [1], np.zeros((1, 3)), "video first has clips of class 0 and of class 1"),
        (["x"], [3], np.zeros((1, 3)), "truth holds class 3"),
    ],
)
def test_refuses(names: list[str], truth: list[int], logits: NDArray[np.float64], message: str) -> None:
    vote = VideoVote(NAMES)
    vote.update(["first"], np.array([0]), logs((0.8, 0.1, 0.1)))
    before = vote.figures()
    with pytest.raises(DataError, match=message):
        vote.update(names, np.array(truth), logits)
    assert vote.figures() == before
