"""Which clouds the model takes, by stamps alone."""

import numpy as np
import pytest

from ros_pointata.frame_picking import FramePicker


def _picked(picker: FramePicker, stamps_s: "list[float] | np.ndarray") -> list[int]:
    return [index for index, stamp in enumerate(stamps_s) if picker.pick(round(stamp * 1e9))]


def test_every_second_cloud_of_a_20_hz_sensor() -> None:
    picker = FramePicker(0, 0.1)
    jitter = np.random.default_rng(1).uniform(-0.004, 0.004, 40)
    assert _picked(picker, np.arange(40) * 0.05 + jitter) == list(range(0, 40, 2))
    assert picker.stride == 2
    assert picker.warning == ""


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
    assert picker.sensor_period_s is None
