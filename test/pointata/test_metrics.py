"""Confusion matrix and scores against hand cases, brute force and torchmetrics."""

import math

import numpy as np
import pytest

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.metrics.confusion import ConfusionMatrix
from pointata.metrics.summary import (
    accuracy,
    iou_per_class,
    majority,
    mean_iou,
    percentiles,
    recall_per_class,
    window_labels,
)

NAMES = ("a", "b", "c", "d")


def filled(truth: list[int], predicted: list[int], names: tuple[str, ...] = NAMES) -> ConfusionMatrix:
    matrix = ConfusionMatrix(names)
    matrix.update(np.array(truth), np.array(predicted))
    return matrix


def random_labels(seed: int, count: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ids = np.array([0, 1, 2, 3, UNLABELLED], np.uint8)
    truth = rng.choice(ids, count, p=[0.5, 0.3, 0.1, 0.05, 0.05])
    predicted = np.where(rng.random(count) < 0.6, truth, rng.choice(ids, count)).astype(np.uint8)
    return truth, predicted


def test_hand_case() -> None:
    matrix = filled([0, 0, 0, 1, 1, 255], [0, 0, 1, 1, 255, 3])
    assert matrix.counts.tolist() == [[2, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert matrix.support.tolist() == [3, 2, 0, 0]
    assert accuracy(matrix) == pytest.approx(3 / 5)
    iou = iou_per_class(matrix)
    assert iou[:2] == pytest.approx([2 / 3, 1 / 3])
    assert np.isnan(iou[2:]).all()
    assert mean_iou(matrix) == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert mean_iou(matrix, absent_as_zero=True) == pytest.approx((2 / 3 + 1 / 3) / 4)
    assert recall_per_class(matrix)[:2] == pytest.approx([2 / 3, 1 / 2])


def test_class_only_predicted_has_iou_zero_but_is_absent_from_the_mean() -> None:
    matrix = filled([0, 0], [0, 2])
    assert iou_per_class(matrix)[2] == 0
    assert mean_iou(matrix) == pytest.approx(0.5)


def test_scores_equal_brute_force() -> None:
    truth, predicted = random_labels(1)
    matrix = ConfusionMatrix(NAMES)
    for chunk in range(0, len(truth), 700):  # accumulated in pieces, compared with sets over the whole
        matrix.update(truth[chunk : chunk + 700], predicted[chunk : chunk + 700])
    labelled = [(int(t), int(p)) for t, p in zip(truth, predicted, strict=True) if t != UNLABELLED]
    assert accuracy(matrix) == pytest.approx(sum(t == p for t, p in labelled) / len(labelled))
    for k in range(4):
        both = sum(t == k and p == k for t, p in labelled)
        either = sum(t == k or p == k for t, p in labelled)
        assert iou_per_class(matrix)[k] == pytest.approx(both / either)
        assert matrix.support[k] == sum(t == k for t, _ in labelled)


def test_scores_equal_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    truth, predicted = random_labels(2)
    # torchmetrics has no "not predicted": it is an extra class that never occurs in the truth
    silent = np.where(predicted == UNLABELLED, 4, predicted)
    arguments = torch.from_numpy(silent.astype(np.int64)), torch.from_numpy(truth.astype(np.int64))
    options = {"num_classes": 5, "ignore_index": UNLABELLED}
    matrix = filled(truth.tolist(), predicted.tolist())

    theirs = classification.MulticlassConfusionMatrix(**options)(*arguments).numpy()
    np.testing.assert_array_equal(matrix.counts, theirs[:4])
    jaccard = classification.MulticlassJaccardIndex(average=None, **options)(*arguments).numpy()[:4]
    np.testing.assert_allclose(iou_per_class(matrix), jaccard, atol=1e-6)
    micro = classification.MulticlassAccuracy(average="micro", **options)(*arguments).item()
    assert accuracy(matrix) == pytest.approx(micro, abs=1e-6)


def test_normalised_rows_sum_to_one_and_are_nan_without_support() -> None:
    rows = filled([0, 0, 1], [0, 255, 0]).normalised()
    assert rows[:2].sum(axis=1) == pytest.approx([1, 1])
    assert np.isnan(rows[2:]).all()


def test_side_by_side_keeps_every_iou() -> None:
    room, street = filled([0, 1, 1], [0, 1, 255], ("x", "y")), filled([0, 2], [2, 2], ("x", "y", "z"))
    both = ConfusionMatrix.side_by_side({"room": room, "street": street})
    assert both.names == ("room/x", "room/y", "street/x", "street/y", "street/z")
    assert both.total == room.total + street.total
    np.testing.assert_array_equal(iou_per_class(both), np.concatenate([iou_per_class(room), iou_per_class(street)]))


@pytest.mark.parametrize(("truth", "predicted"), [([4], [0]), ([0], [4]), ([0], [-1]), ([0, 1], [0])])
def test_refuses_what_names_no_class(truth: list[int], predicted: list[int]) -> None:
    matrix = ConfusionMatrix(NAMES)
    with pytest.raises(DataError):
        matrix.update(np.array(truth), np.array(predicted))
    assert matrix.total == 0


def test_refuses_counts_of_another_shape() -> None:
    with pytest.raises(DataError, match=r"\(2, 3\)"):
        ConfusionMatrix(("a", "b"), np.zeros((2, 2), np.int64))


def test_nothing_seen_gives_nan() -> None:
    matrix = filled([255, 255], [0, 1])
    assert math.isnan(accuracy(matrix))
    assert math.isnan(mean_iou(matrix))
    assert math.isnan(mean_iou(matrix, absent_as_zero=True))
    assert all(math.isnan(value) for value in percentiles([]).values())


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([1, 1, 2], 1), ([1, 2], 2), ([2, 1, 2, 1], 1), ([255, 255, 3], 3), ([255], 255), ([], 255)],
)
def test_majority(labels: list[int], expected: int) -> None:
    assert majority(labels) == expected


@pytest.mark.parametrize(("total", "windows"), [(0, 0), (3, 0), (4, 1), (8, 1), (11, 1), (12, 2), (24, 3)])
def test_windows_show_what_most_of_their_frames_show(total: int, windows: int) -> None:
    rng = np.random.default_rng(total)
    truth = rng.choice(np.array([0, 1, 2, UNLABELLED]), total)
    probabilities = rng.dirichlet(np.ones(3), total)
    true, given = window_labels(truth, probabilities, 8)
    assert len(true) == len(given) == windows
    for number in range(windows):  # counted one by one
        inside = [index for index in range(total) if index // 8 == number]
        sums = [sum(probabilities[index, c] for index in inside) for c in range(3)]
        votes = [sum(truth[index] == c for index in inside) for c in range(3)]
        assert given[number] == int(np.argmax(sums))
        assert votes[true[number]] == max(votes)


def test_a_window_without_truth_has_none() -> None:
    true, _ = window_labels(np.full(8, UNLABELLED), np.full((8, 2), 0.5), 8)
    assert true.tolist() == [UNLABELLED]


def test_percentiles_interpolate() -> None:
    assert percentiles([0.0, 10.0, 20.0], (50, 75)) == {"p50": 10.0, "p75": 15.0}
