"""Clouds that stand alone, come twice, or never come."""

from types import SimpleNamespace

from ros_pointata.monitoring.continuity import Continuity, Losses, Repetition


def test_a_window_that_is_always_emptied_is_a_warning_until_it_no_longer_is() -> None:
    continuity = Continuity()
    for number in range(40):
        continuity.add("" if number % 5 else "a bag starts over")  # now and then is no complaint
        assert continuity.warning == ""
    for _ in range(10):
        continuity.add("frame_id changed")
    assert continuity.warning.startswith("the window was emptied at 10 of the last 10 clouds, last: frame_id changed; ")
    for _ in range(6):
        continuity.add("")
    assert continuity.warning == ""


def test_only_the_same_bytes_under_the_same_stamp_repeat_a_cloud() -> None:
    repetition = Repetition()

    def message(stamp: int, data: bytes, frame_id: str = "lidar") -> SimpleNamespace:
        return SimpleNamespace(header=SimpleNamespace(stamp=stamp, frame_id=frame_id), data=data)

    clouds = [message(1, b"a"), message(1, b"a"), message(1, b"b"), message(2, b"b"), message(2, b"b", "other")]
    assert [repetition.add(cloud) for cloud in clouds] == [False, True, False, False, False]
    assert repetition.warning == ""  # once is no habit
    assert repetition.add(message(2, b"b", "other"))
    assert "2 of the last 6" in repetition.warning
    for stamp in range(3, 12):
        assert not repetition.add(message(stamp, b"b"))
    assert repetition.warning == ""


def test_losses_are_the_numbers_that_are_missing_from_one_publisher() -> None:
    losses = Losses()
    sequence = [(4, 1), (5, 1), (9, 1), (1, 1), (2, 1), (8, 2), (3, 2), (20, 1), (22, 1), (None, 1), (30, 1)]
    assert [losses.before(*cloud) for cloud in sequence] == [0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0]
    losses.forget()
    assert losses.before(99, 1) == 0
