"""Figures during training are those of evaluation: against hand cases, `pointata.metrics` and torchmetrics."""

import numpy as np
import pytest
import torch

torchmetrics = pytest.importorskip("torchmetrics", reason="needs the extra pointata[training]")

from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex  # noqa: E402

from pointata.classes import UNLABELLED  # noqa: E402
from pointata.metrics.confusion import ConfusionMatrix  # noqa: E402
from pointata.metrics.summary import accuracy, mean_iou  # noqa: E402
from pointata.metrics.vote import VideoVote  # noqa: E402
from pointata.training.metrics import ConfusionMetric, VoteMetric  # noqa: E402


def scores_for(predicted: torch.Tensor, classes: int) -> torch.Tensor:
    """Logits whose largest is the prediction."""
    return torch.nn.functional.one_hot(predicted, classes).float()


def test_a_class_that_is_only_predicted_counts_alike_in_training_and_evaluation() -> None:
    """Of 000111 / 002111, the classes that occur have the IoU 2/3 and 1; torchmetrics counts the third as 0, too."""
    truth, predicted = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 2, 1, 1, 1])
    metric = ConfusionMetric(3, mean_iou)
    metric.update(truth, scores_for(predicted, 3))
    matrix = ConfusionMatrix("abc")
    matrix.update(truth.numpy(), predicted.numpy())
    assert float(metric.compute()) == pytest.approx(mean_iou(matrix))
    assert mean_iou(matrix) == pytest.approx((2 / 3 + 1) / 2)
    assert float(MulticlassJaccardIndex(3)(predicted, truth)) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_training_equals_torchmetrics_where_all_classes_occur() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 5, (4000,), generator=generator)
    logits = torch.randn(4000, 5, generator=generator) + scores_for(truth, 5)
    truth[::7] = UNLABELLED
    miou, share = ConfusionMetric(5, mean_iou), ConfusionMetric(5, accuracy)
    for start in range(0, 4000, 700):
        part = slice(start, start + 700)
        miou.update(truth[part], logits[part])
        share.update(truth[part], logits[part])
    jaccard = MulticlassJaccardIndex(5, ignore_index=UNLABELLED)(logits, truth)
    assert float(miou.compute()) == pytest.approx(float(jaccard), abs=1e-6)
    micro = MulticlassAccuracy(5, average="micro", ignore_index=UNLABELLED)(logits, truth)
    assert float(share.compute()) == pytest.approx(float(micro), abs=1e-6)


def test_the_states_are_counts_that_add_up_over_processes() -> None:
    truth, logits = torch.tensor([0, 1, -1, 1]), scores_for(torch.tensor([0, 0, 1, 1]), 2)
    first, second = ConfusionMetric(2, accuracy), ConfusionMetric(2, accuracy)
    first.update(truth[:2], logits[:2])
    second.update(truth[2:], logits[2:])  # the third has no class
    first.counts += second.counts  # what the reduction "sum" does
    assert first.matrix.counts.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert float(first.compute()) == pytest.approx(2 / 3)
    assert first._reductions["counts"] is torchmetrics.utilities.data.dim_zero_sum


def test_nothing_labelled_is_0() -> None:
    metric = ConfusionMetric(2, mean_iou)
    metric.update(torch.tensor([-1, UNLABELLED]), torch.zeros(2, 2))
    assert float(metric.compute()) == 0
    assert float(VoteMetric(2, 2).compute()) == 0


def test_vote_by_hand() -> None:
    """Two clips lean to class 0 a little, one to class 1 a lot: the sum decides, not the number."""
    vote = VoteMetric(videos=3, classes=2)
    vote.update(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([[0.6, 0.4], [0.6, 0.4]]))
    assert vote.compute() == 0
    vote.update(torch.tensor([0, 1]), torch.tensor([1, -1]), torch.tensor([[0.1, 0.9], [0.8, 0.2]]))
    assert vote.compute() == 1  # video 1 has no class, video 2 no clip


def test_clips_of_a_network_that_diverged_have_no_vote() -> None:
    """The others decide; and half precision is as good as any."""
    vote = VoteMetric(videos=1, classes=2)
    vote.update(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([[torch.nan, 0.0], [0.2, 0.8]]).bfloat16())
    assert vote.compute() == 1
    assert vote.sums[0].tolist() == pytest.approx([0.2, 0.8], abs=5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_counts_as_wrong(dtype: torch.dtype) -> None:
    """A network that diverged is measured on; class 0 is right, which argmax would give."""
    nan, truth = float("nan"), torch.tensor([0, 0, 0])
    scores = torch.tensor([[nan, nan], [0.9, nan], [0.9, 0.1]], dtype=dtype)
    metric, vote = ConfusionMetric(2, accuracy), VoteMetric(videos=2, classes=2)
    metric.update(truth, scores)
    assert metric.matrix.counts.tolist() == [[1, 0, 2], [0, 0, 0]]
    vote.update(torch.tensor([0, 0, 1]), truth, scores)
    assert vote.compute() == 0.5


def test_both_votes_agree() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        videos = rng.integers(6, size=40)
        truth = rng.integers(4, size=6)[videos]
        shares = torch.from_numpy(rng.normal(size=(40, 4)) + 0.7 * np.eye(4)[truth]).softmax(-1).float()
        other = VideoVote(["a", "b", "c", "d"], 6)
        other.update(videos, truth, shares.numpy())
        vote = VoteMetric(6, 4)
        for part in np.array_split(np.arange(40), 3):
            vote.update(torch.from_numpy(videos[part]), torch.from_numpy(truth[part]), shares[part])
        assert abs(float(vote.compute()) - accuracy(other.videos)) < 1e-6
