"""Which clouds the model takes, by stamps alone."""

import numpy as np
import pytest

from pointata.preprocessing.picking import HISTORY, FramePicker


def _picked(picker: FramePicker, stamps_s: "list[float] | np.ndarray") -> list[int]:
    return [index for index, stamp in enumerate(stamps_s) if picker.pick(round(stamp * 1e9))]


def test_every_second_cloud_of_a_20_hz_sensor() -> None:
    picker = FramePicker(0, 0.1)
    jitter = np.random.default_rng(1).uniform(-0.004, 0.004, 40)
    assert _picked(picker, np.arange(40) * 0.05 + jitter) == list(range(0, 40, 2))
    assert picker.stride == 2
    assert picker.warning == ""


def bursts(first_gap_s: float, *gaps_s: float, clouds: int = 601) -> np.ndarray:
    """Stamps of a sensor whose gaps repeat."""
    gaps = np.resize([first_gap_s, *gaps_s], clouds - 1)
    return np.concatenate(([0.0], np.cumsum(gaps)))


@pytest.mark.parametrize(
    ("stamps_s", "taken"),
    [
        (np.arange(601) / 30, 201),
        (bursts(0.0014, 1 / 15 - 0.0014), 201),  # pairs, as a radar writes them: 30 Hz on the average
        (bursts(0.0014, 0.058), 201),
        (bursts(0.058, 0.0014), 201),
        (bursts(0.001, 0.001, 0.098), 201),
        (bursts(0.0583, 0.0002, 0.0), 121),  # 51 Hz, strides of 5
        (bursts(0.0, 1 / 15), 201),  # two clouds under each stamp
        (np.arange(601) / 30 + np.random.default_rng(0).uniform(-0.015, 0.015, 601), 201),
        (np.arange(601) / 15, 601),  # between two strides: no flutter
        (np.arange(601) / 100, 61),
        (np.arange(601) / 5, 601),
    ],
    ids=[
        "even",
        "pairs",
        "pairs of 33.7 Hz",
        "pairs, late",
        "triples",
        "51 Hz",
        "equal",
        "jitter",
        "15 Hz",
        "100 Hz",
        "5 Hz",
    ],
)
def test_as_many_are_taken_as_the_rate_says(stamps_s: np.ndarray, taken: int) -> None:
    picker = FramePicker(0, 0.1)
    picked = _picked(picker, stamps_s)
    assert abs(len(picked) - taken) <= 1
    steady = np.diff(picked)[5:]
    assert set(steady) == {picker.stride}, "blocks of as many clouds, whatever their stamps"


@pytest.mark.parametrize(
    ("gaps_s", "stride"),
    [((0.0479, 0.163, 0.0348, 0.0245, 0.0263), 2), ((0.0, 0.0, 0.0448), 7), ((0.001, 0.009, 0.0, 0.29, 0.0), 2)],
)
def test_a_gap_longer_than_the_stride_is_no_loss(gaps_s: tuple[float, ...], stride: int) -> None:
    """Bursts settle within the history, and then every n-th cloud is taken."""
    picker = FramePicker(0, 0.1)
    picked = _picked(picker, bursts(*gaps_s))
    late = [number for number in picked if number >= HISTORY]
    assert set(np.diff(late)) == {stride}


@pytest.mark.parametrize("stamps_s", [bursts(0.0014, 1 / 15 - 0.0014), bursts(0.001, 0.001, 0.098)])
def test_bursts_are_not_warned_of(stamps_s: np.ndarray) -> None:
    picker = FramePicker(0, 0.1)
    for stamp in stamps_s:
        picker.pick(round(stamp * 1e9))
        assert picker.warning == ""


def test_lost_clouds_do_not_slow_the_stream_down() -> None:
    stamps = np.arange(6010) / 30
    kept = stamps[np.random.default_rng(0).random(len(stamps)) > 0.05]
    picked = kept[_picked(FramePicker(0, 0.1), kept)]
    assert np.mean(np.diff(picked)) == pytest.approx(0.1, rel=0.07)
    assert np.diff(picked).max() < 0.25


def test_a_pause_is_no_period() -> None:
    picker = FramePicker(0, 0.1)
    stamps = np.concatenate((np.arange(30) / 30, 11 + np.arange(30) / 30))
    picked = _picked(picker, stamps)
    assert picked == [*range(0, 30, 3), *range(30, 60, 3)]  # the first after the pause is due
    assert picker.warning == ""


def test_a_sensor_slower_than_a_second_has_a_period() -> None:
    picker = FramePicker(0, 0.1)
    assert len(_picked(picker, np.arange(10) * 3.0)) == 10
    assert "a sensor with 3 s" in picker.warning


def test_a_sensor_at_the_wanted_period_loses_nothing() -> None:
    picker = FramePicker(0, 0.1)
    jitter = np.random.default_rng(1).uniform(-0.03, 0.03, 50)
    assert _picked(picker, np.arange(50) * 0.1 + jitter) == list(range(50))


def test_after_a_lost_cloud_the_next_due_one_is_taken() -> None:
    picker = FramePicker(0, 0.1)
    stamps = [number * 0.05 for number in range(20) if number != 10]
    picked = [round(stamps[index] / 0.05) for index in _picked(picker, stamps)]
    assert picked == [0, 2, 4, 6, 8, 11, 13, 15, 17, 19]


def test_a_fixed_stride_counts() -> None:
    assert _picked(FramePicker(3, 0.1), [0, 0.1, 0.2, 0.9, 1.0, 1.1, 1.2]) == [0, 3, 6]
    assert _picked(FramePicker(1, 0.1), [0, 0.01, 0.02, 0.03]) == [0, 1, 2, 3]


def test_a_jump_back_starts_over() -> None:
    assert _picked(FramePicker(3, 0.1), [5.0, 5.1, 0.0, 0.1, 0.2, 0.3]) == [0, 2, 5]


@pytest.mark.parametrize("period", [0.2, 0.14, 0.069])
def test_a_period_that_no_stride_mends_is_warned_of(period: float) -> None:
    picker = FramePicker(0, 0.1)
    _picked(picker, np.arange(10) * period)
    assert "does not match the 0.1 s that the bundle was trained at" in picker.warning


@pytest.mark.parametrize("period", [0.1, 0.12, 0.05, 0.033, 0.01])
def test_a_period_that_matches_is_not_warned_of(period: float) -> None:
    picker = FramePicker(0, 0.1)
    _picked(picker, np.arange(10) * period)
    assert picker.warning == ""


def test_clouds_without_stamps_are_all_taken() -> None:
    picker = FramePicker(0, 0.1)
    assert _picked(picker, [0.0] * 5) == [0, 1, 2, 3, 4]
    assert picker.warning == ""
