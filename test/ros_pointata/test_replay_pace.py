"""Timing, prefetching and options of the replay, without DDS."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from ros_pointata.replay import source
from ros_pointata.replay.cli import build_parser, uses_recorded_stamps
from ros_pointata.replay.pace import Pace, Timetable
from ros_pointata.replay.source import Prefetched

SECOND = 10**9


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (Pace(0.1), [0.1, 0.3, 0.1, 0.1]),  # a backward jump and a repeated stamp wait one nominal period
        (Pace(0.1, rate=2.0), [0.05, 0.15, 0.05, 0.05]),
        (Pace(0.1, rate=0.5), [0.2, 0.6, 0.2, 0.2]),
        (Pace(0.1, hz=20.0), [0.05] * 4),
        (Pace(0.1, unpaced=True), [0.0] * 4),
    ],
)
def test_intervals(pace: Pace, expected: list[float]) -> None:
    stamps = [round(t * SECOND) for t in (5.0, 5.1, 5.4, 2.0, 2.0)]
    intervals = [pace.interval_s(before, after) for before, after in itertools.pairwise(stamps)]
    assert intervals == pytest.approx(expected)


def due_times(pace: Pace, work_s: list[float], stamps_s: list[float]) -> tuple[list[float], int]:
    """Times at which frames are sent where frame i is ready work_s[i] after its predecessor was sent."""
    now = 100.0
    table = Timetable(pace, lambda: now)
    sent = []
    for work, stamp in zip(work_s, stamps_s, strict=True):
        now += work
        now = max(now, table.next_due(round(stamp * SECOND))[1])
        sent.append(now - 100.0)
    return sent, table.late_frames


def test_small_delays_do_not_add_up() -> None:
    sent, late = due_times(Pace(0.1), [0.0, 0.05, 0.104, 0.09, 0.0], [0.0, 0.1, 0.2, 0.3, 0.4])
    assert sent == pytest.approx([0.0, 0.1, 0.204, 0.3, 0.4])
    assert late == 0


def test_a_late_frame_is_counted_and_moves_the_rest_instead_of_a_burst() -> None:
    sent, late = due_times(Pace(0.1), [0.0, 0.05, 0.5, 0.0, 0.0], [0.0, 0.1, 0.2, 0.3, 0.4])
    assert sent == pytest.approx([0.0, 0.1, 0.6, 0.7, 0.8])
    assert late == 1


def test_unpaced_frames_are_never_late() -> None:
    sent, late = due_times(Pace(0.1, unpaced=True), [0.0, 0.5, 0.01], [0.0, 0.1, 0.2])
    assert sent == pytest.approx([0.0, 0.5, 0.51])
    assert late == 0


def test_prefetching_keeps_order_and_runs_ahead_no_further_than_told() -> None:
    made: list[int] = []
    full = threading.Event()

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            if number == 3:
                full.set()
            yield number

    ahead = Prefetched(items(), 3)
    assert full.wait(5), "three wait in the queue, the fourth is in the thread's hand"
    assert len(made) == 4
    assert list(ahead) == list(range(20))
    ahead.close()


def test_an_error_while_prefetching_comes_after_the_good_items() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("third")

    ahead = Prefetched(items(), 8)
    received = iter(ahead)
    assert [next(received), next(received)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(received)
    ahead.close()


def test_a_frame_that_takes_for_ever_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PATIENCE_S", 0.1)
    begun, held = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        begun.set()
        yield int(held.wait(60))

    prefetched = Prefetched(items(), 1)
    assert begun.wait(10)
    closing = threading.Thread(target=prefetched.close)
    closing.start()
    closing.join(30)
    waits = closing.is_alive()
    held.set()
    assert not waits


def test_prefetching_of_an_endless_source_can_be_closed() -> None:
    ahead = Prefetched(itertools.count(), 2)
    assert list(itertools.islice(ahead, 5)) == [0, 1, 2, 3, 4]
    ahead.close()
    assert not any(thread.name == "replay-prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("arguments", "recorded"),
    [
        ([], False),
        (["--hz", "20"], False),
        (["--loop"], False),
        (["--rate", "2"], True),
        (["--as-fast-as-possible"], True),
        (["--clock"], True),
        (["--clock", "--stamps", "now"], False),
        (["--stamps", "recorded"], True),
    ],
)
def test_which_stamps_are_used(arguments: list[str], recorded: bool) -> None:
    assert uses_recorded_stamps(build_parser().parse_args(["sim:room", *arguments])) is recorded


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "0"], ["--hz", "-1"], ["--rate", "nan"], ["--rate", "2", "--hz", "3"], ["--start", "-1"],
     ["--frames", "0"], ["--depth", "0"], ["--reliability", "maybe"]],
)  # fmt: skip
def test_bad_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args(["sim:room", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err
