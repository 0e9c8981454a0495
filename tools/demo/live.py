"""What a run shows while it lasts: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.record import FrameRecord, ScenarioRecord

LINE_PERIOD_S = 4.0


@dataclass(frozen=True)
class Snapshot:
    """What is worth seeing now.

    Attributes:
        scene: which scene of which scenario.
        action, truth: of the newest answered frame; "-" where there is none.
        points: published points per class, most frequent first.
        latency_ms: median of the last 20 answers; NaN before the first.
        sent, inferred: clouds seen and answered so far.
        dropped: clouds without an answer that are older than the newest answered one, so that none will come.
    """

    scene: str
    action: str
    truth: str
    points: tuple[tuple[str, int], ...]
    latency_ms: float
    sent: int
    inferred: int
    dropped: int


def snapshot(record: ScenarioRecord, scene: str) -> Snapshot:
    """The present state of a record; hold its lock."""
    frames = list(record.frames.values())
    answered = [frame for frame in frames if frame.answered_ns is not None]
    whole = (frame for frame in reversed(answered) if record.is_answered(frame.play, frame.stamp_ns))
    newest = next(whole, FrameRecord(0, 0))
    latencies = [frame.latency_ms for frame in answered[-20:] if np.isfinite(frame.latency_ms)]
    return Snapshot(
        scene=scene,
        action=_action(record, newest),
        truth="-" if newest.true_action is None or not record.actions else record.actions[newest.true_action].name,
        points=_points(record, newest),
        latency_ms=float(np.median(latencies)) if latencies else float("nan"),
        sent=sum(frame.published_ns is not None for frame in frames),
        inferred=len(answered),
        dropped=_dropped(frames),
    )


def _dropped(frames: Sequence[FrameRecord]) -> int:
    newest = max(((frame.play, frame.stamp_ns) for frame in frames if frame.answered_ns is not None), default=(0, 0))
    passed = [frame for frame in frames if (frame.play, frame.stamp_ns) < newest]
    return sum(frame.answered_ns is None and frame.published_ns is not None for frame in passed)


def _action(record: ScenarioRecord, frame: FrameRecord) -> str:
    if frame.action is None:
        return "-"
    if frame.action.unknown:
        return "unknown"
    return f"{record.actions[frame.action.class_id].name} ({frame.action.score:.2f})"


def _points(record: ScenarioRecord, frame: FrameRecord) -> tuple[tuple[str, int], ...]:
    if frame.labelled is None:
        return ()
    counts = [(entry.name, int(frame.labelled[entry.id])) for entry in record.classes]
    return tuple(sorted((pair for pair in counts if pair[1]), key=lambda pair: -pair[1]))


def line(state: Snapshot) -> str:
    """A snapshot in one line."""
    points = ", ".join(f"{name} {count}" for name, count in state.points[:4])
    action = f"action {state.action}, truth {state.truth} | " if _has_action(state) else ""
    return (
        f"{state.scene} | {action}{points or 'no labels yet'} | "
        f"{_milliseconds(state)} | sent {state.sent}, inferred {state.inferred}, "
        f"dropped {state.dropped}"
    )


def _has_action(state: Snapshot) -> bool:
    """False in scenes without actions, and before the first answer."""
    return (state.action, state.truth) != ("-", "-")


def _milliseconds(state: Snapshot) -> str:
    return "- ms" if np.isnan(state.latency_ms) else f"{state.latency_ms:.0f} ms"


def table(state: Snapshot) -> Table:
    """A snapshot as a table."""
    result = Table(title=f"pointata: {state.scene}", show_header=False, min_width=64, title_justify="left")
    if _has_action(state):
        agrees = state.truth == "-" or state.action.split(" (")[0] == state.truth
        result.add_row("action", f"[{'green' if agrees else 'yellow'}]{state.action}[/]")
        result.add_row("truth", state.truth)
    for name, count in state.points:
        result.add_row(f"  {name}", f"{count:>7,} points")
    result.add_row("latency", f"{_milliseconds(state)} (median of the last 20)")
    result.add_row("frames", f"{state.sent} sent, {state.inferred} inferred, {state.dropped} dropped")
    return result


class Display:
    """Shows snapshots inside a `with` block."""

    def __init__(self) -> None:
        console = Console()
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._last_line = 0.0

    def __enter__(self) -> "Display":
        (self._live or nullcontext()).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (self._live or nullcontext()).__exit__(kind, error, trace)

    def say(self, sentence: str) -> None:
        """A step of the run, which stays on the screen."""
        if self._live is not None:
            self._live.console.print(sentence, highlight=False)
        else:
            print(sentence, flush=True)

    def show(self, state: Snapshot, final: bool = False) -> None:
        """Update the table; without a terminal print a line now and then, and the final one."""
        if self._live is not None:
            self._live.update(table(state))
        elif final or time.monotonic() - self._last_line >= LINE_PERIOD_S:
            self._last_line = time.monotonic()
            print(f"  {line(state)}", flush=True)
