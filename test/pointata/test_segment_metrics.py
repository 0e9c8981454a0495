"""Action segmentation scores against hand cases, recursion, sets of frames, and laws they must keep."""

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError
from pointata.metrics.segments import (
    OVERLAPS,
    Segment,
    SegmentScore,
    edit_distance,
    edit_score,
    hits,
    segments_of,
)

NAMES = ("a", "b", "c")
Video = tuple[NDArray[np.int64], NDArray[np.int64]]


def ids(text: str) -> NDArray[np.int64]:
    """Class ids of letters; a dot is unlabelled."""
    return np.array([UNLABELLED if letter == "." else ord(letter) - ord("a") for letter in text], np.int64)


def score(*videos: tuple[str, str], compat: bool = False) -> SegmentScore:
    result = SegmentScore(NAMES, compat=compat)
    for truth, predicted in videos:
        result.update(ids(truth), ids(predicted))
    return result


def random_videos(seed: int, count: int = 40) -> list[Video]:
    """Runs of random length as truth; as prediction the truth, shifted and with some frames replaced."""
    rng = np.random.default_rng(seed)
    videos = []
    for _ in range(count):
        truth = np.repeat(rng.integers(0, 3, 8), rng.integers(1, 12, 8))
        noise = rng.random(len(truth)) < rng.choice([0.02, 0.1, 0.4])
        predicted = np.where(noise, rng.integers(0, 3, len(truth)), np.roll(truth, rng.integers(-3, 4)))
        videos.append((truth, predicted))
    return videos


def total(videos: Sequence[Video], compat: bool = False) -> SegmentScore:
    result = SegmentScore(NAMES, compat=compat)
    for truth, predicted in videos:
        result.update(truth, predicted)
    return result


def levenshtein(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """By its recursive definition, from the front."""

    @cache
    def distance(i: int, j: int) -> int:
        if i == len(first) or j == len(second):
            return len(first) - i + len(second) - j
        if first[i] == second[j]:
            return distance(i + 1, j + 1)
        return 1 + min(distance(i + 1, j), distance(i, j + 1), distance(i + 1, j + 1))

    return distance(0, 0)


def frame_sets(labels: NDArray[np.int64], compat: bool) -> list[tuple[int, frozenset[int]]]:
    """Runs as (class, set of frames); compat drops the video's last frame from the last run."""
    runs = [
        (label, frozenset(index for index, _ in group)) for label, group in groupby(enumerate(labels), lambda p: p[1])
    ]
    if compat:
        runs[-1] = (runs[-1][0], runs[-1][1] - {len(labels) - 1})
    return runs


def figures_by_sets(videos: Sequence[Video], compat: bool) -> dict[str, float]:
    """The five figures by sets of frames and exact fractions."""
    right = frames = 0
    edits = []
    counts = {overlap: [0, 0, 0] for overlap in OVERLAPS}
    for truth, predicted in videos:
        right += sum(t == p for t, p in zip(truth, predicted, strict=True))
        frames += len(truth)
        wanted, given = frame_sets(truth, compat), frame_sets(predicted, compat)
        distance = levenshtein(tuple(c for c, _ in wanted), tuple(c for c, _ in given))
        edits.append(100 * (1 - Fraction(distance, max(len(wanted), len(given)))))
        for overlap, count in counts.items():
            free = set(range(len(wanted)))
            for label, where in given:
                best, best_iou = None, Fraction(0)
                for index, (other, there) in enumerate(wanted):
                    if other == label and where | there and Fraction(len(where & there), len(where | there)) > best_iou:
                        best, best_iou = index, Fraction(len(where & there), len(where | there))
                hit = best in free and best_iou >= Fraction(overlap, 100)
                free -= {best} if hit else set()
                count[0 if hit else 1] += 1
            count[2] += len(free)
    result = {"accuracy": 100 * right / frames, "edit": float(sum(edits) / len(edits))}
    for overlap, (tp, fp, fn) in counts.items():
        precision, recall = Fraction(tp, tp + fp), Fraction(tp, tp + fn)
        result[f"f1_{overlap}"] = float(200 * precision * recall / (precision + recall)) if tp else 0.0
    return result


def test_segments() -> None:
    assert segments_of(ids("aab.bc")) == (
        Segment(0, 0, 2), Segment(1, 2, 3), Segment(1, 4, 5), Segment(2, 5, 6),
    )  # fmt: skip
    assert segments_of(ids("a")) == (Segment(0, 0, 1),)
    assert segments_of(ids("")) == segments_of(ids("...")) == ()


def test_hand_case() -> None:
    # truth a 0-3, b 4-7, a 8-9; predicted a 0-3, c 4, b 5-7, c 8-9
    result = score(("aaaabbbbaa", "aaaacbbbcc"))
    assert result.figures() == pytest.approx({
        "accuracy": 70.0,
        "edit": 50.0,  # a b a -> a c b c: insert c, replace a: 2 of 4
        "f1_10": 100 * 4 / 7,  # 2 found, 4 predicted, 3 true
        "f1_25": 100 * 4 / 7,
        "f1_50": 100 * 4 / 7,  # b: 3 of 4 frames
    })  # fmt: skip


def test_overlap_decides_at_each_threshold() -> None:
    # one true segment of 20 frames in b; predictions of a that cover 2, 5 and 10 of them reach 10, 25 and 50 % exactly
    for covered, expected in ((1, []), (2, [10]), (4, [10]), (5, [10, 25]), (9, [10, 25]), (10, [10, 25, 50])):
        truth = segments_of(ids("a" * 20))
        predicted = segments_of(ids("a" * covered + "b" * (20 - covered)))
        assert [overlap for overlap in OVERLAPS if hits(truth, predicted, overlap)] == expected


def test_a_true_segment_is_found_once_and_there_is_no_second_choice() -> None:
    truth = segments_of(ids("aaaaaaaaaa"))
    split = segments_of(ids("aaaabaaaaa"))  # two predicted segments of a find the same true one
    assert hits(truth, split, 10) == 1
    assert score(("aaaaaaaaaa", "aaaabaaaaa")).f1(10) == pytest.approx(100 * 2 / 4)
    # the long prediction overlaps both true segments; the first is its best, which the short one has found already
    truth = (Segment(0, 0, 10), Segment(0, 12, 16))
    assert hits(truth, (Segment(0, 0, 8), Segment(0, 3, 16)), 10) == 1


def test_positives_are_summed_over_the_videos_and_edits_averaged() -> None:
    perfect, wrong = ("abc", "abc"), ("a", "b")
    result = score(perfect, wrong)
    assert result.f1(50) == pytest.approx(100 * 2 * 3 / (4 + 4)), "not the mean of 100 and 0"
    assert result.edit() == pytest.approx(50.0)
    assert result.figures()["accuracy"] == pytest.approx(75.0)


def test_compat_ends_the_last_segment_one_frame_early() -> None:
    # truth b 2-5; predicted b 4-5: IoU 2/4 exactly, 1/3 as the script has it
    assert score(("aabbbb", "aaaabb")).f1(50) == pytest.approx(100.0)
    assert score(("aabbbb", "aaaabb"), compat=True).f1(50) == pytest.approx(50.0)
    assert score(("aabbbb", "aaaabb"), compat=True).edit() == 100.0
    # a last segment of one frame is empty then, and cannot be found even by itself
    assert score(("aab", "aab"), compat=True).f1(10) == pytest.approx(50.0)
    assert score(("a", "a"), compat=True).f1(10) == 0.0


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_sets_of_frames(seed: int, compat: bool) -> None:
    videos = random_videos(seed)
    assert total(videos, compat).figures() == pytest.approx(figures_by_sets(videos, compat), abs=1e-9)


def test_compat_changes_the_figures_of_random_videos() -> None:
    videos = random_videos(0, 200)
    assert total(videos).figures() != total(videos, compat=True).figures()


def test_edit_distance_equals_recursion() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        first, second = (tuple(rng.integers(0, 4, rng.integers(0, 9)).tolist()) for _ in range(2))
        assert edit_distance(first, second) == levenshtein(first, second)


def test_edit_score_of_known_words() -> None:
    def word(text: str) -> tuple[Segment, ...]:
        return tuple(Segment(ord(letter), index, index + 1) for index, letter in enumerate(text))

    assert edit_score(word("kitten"), word("sitting")) == pytest.approx(100 * (1 - 3 / 7))
    assert edit_score(word("ab"), ()) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_laws(seed: int) -> None:
    videos = random_videos(seed)
    figures = total(videos).figures()
    assert 0 <= figures["f1_50"] <= figures["f1_25"] <= figures["f1_10"] <= 100
    shuffled = random.Random(seed).sample(videos, len(videos))
    assert total(shuffled).figures() == pytest.approx(figures)
    renamed = [((truth + 1) % 3, (predicted + 1) % 3) for truth, predicted in videos]
    assert total(renamed).figures() == pytest.approx(figures)
    perfect = total([(truth, truth) for truth, _ in videos]).figures()
    assert perfect == dict.fromkeys(figures, 100.0)


def test_frames_without_truth_neither_help_nor_harm() -> None:
    known, gapped = score(("aabb", "aabb")), score(("aa..bb..", "aacabbcc"))
    assert gapped.figures() == known.figures() == dict.fromkeys(known.figures(), 100.0)
    assert gapped.frames.total == 4
    silent = score(("aabb", "...."))
    assert silent.figures() == dict.fromkeys(known.figures(), 0.0)


def test_one_frame_and_nothing_labelled() -> None:
    assert score(("a", "a")).figures() == dict.fromkeys(score(("a", "a")).figures(), 100.0)
    assert score(("a", "b")).figures() == dict.fromkeys(score(("a", "b")).figures(), 0.0)
    assert all(math.isnan(value) for value in SegmentScore(NAMES).figures().values())
    assert all(math.isnan(value) for value in score(("...", "abc")).figures().values())


def test_bytes_serve_as_labels() -> None:
    result = SegmentScore(NAMES)
    result.update(ids("aab.").astype(np.uint8), ids("aabb").astype(np.int8))
    assert result.edit() == 100.0


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (ids(""), ids(""), "without frames"),
        (ids("ab"), ids("a"), r"got \(2,\) and \(1,\)"),
        (ids("ab")[None], ids("ab")[None], r"got \(1, 2\)"),
        (ids("d"), ids("a"), "truth holds class 3"),
        (ids("a"), ids("d"), "prediction holds class 3"),
    ],
)
def test_refuses_what_is_no_video(truth: NDArray[np.int64], predicted: NDArray[np.int64], message: str) -> None:
    result = score(("ab", "ab"))
    with pytest.raises(DataError, match=message):
        result.update(truth, predicted)
    assert result.figures() == score(("ab", "ab")).figures()
