"""Command line of the demo."""

import argparse
import json
import os
import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.interrupts import Interrupts
from demo.scenario import MODELS, ROOM_FRAMES, ROOM_SEEDS, STREET_FRAMES, STREET_SEEDS, scenarios
from pointata import PointataError
from ros_pointata.arguments import at_least_one, positive
from ros_pointata.testing.processes import isolated_environment

if TYPE_CHECKING:
    from demo.played import Played


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 only for a complete run.

    Args:
        argv: arguments without the program name; None for the process's own.
    """
    options = build_parser().parse_args(argv)
    environment = isolated_environment()
    os.environ.pop(
        "ROS_LOCALHOST_ONLY", None
    )  # the deprecated name of the automatic discovery range, which it overrides
    os.environ.update(environment)  # before rclpy is initialised, here and in the children
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with Interrupts() as interrupts:
            return _run(options, environment, interrupts)
    except PointataError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All options with their defaults."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Replay simulated scenes to the running node and write a page about its answers.",
        epilog="example: demo --seeds 4 --frames 60 --out build/demo_short",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("build/demo"), help="folder of page, summary and logs (default build/demo)")
    rooms, streets = (",".join(map(str, seeds)) for seeds in (ROOM_SEEDS, STREET_SEEDS))
    add("--seeds", type=_seeds, metavar="A,B,...", help=f"scenes to play, each as room and as street (default {rooms} "
        f"as rooms, {streets} as streets)")  # fmt: skip
    add("--frames", type=at_least_one,
        help=f"length of every scene (default {ROOM_FRAMES} in rooms, {STREET_FRAMES} in streets)")  # fmt: skip
    add("--model", action="append", default=[], type=_model, metavar="room=PATH",
        help="weight bundle in place of the shipped one, for room or street; repeatable")  # fmt: skip
    add("--rate", type=positive, default=1.0, help="speed as a multiple of the sensors' (default 1)")
    add("--quick", action="store_true", help="one scene of 25 frames each, to see that it works")
    add("--open", action="store_true", help="open the page in a browser at the end")
    return parser


def _run(options: argparse.Namespace, environment: dict[str, str], interrupts: Interrupts) -> int:
    from demo.live import Display
    from demo.played import problems
    from demo.session import Session

    began = time.monotonic()
    for stale in ("index.html", "summary.json"):
        (options.out / stale).unlink(missing_ok=True)
    display = Display()
    with display, Session(options.out, environment, display, interrupts.check, options.rate) as session:
        chosen = scenarios(options.seeds, options.frames, options.quick, dict(options.model))
        played = [session.play(part) for part in chosen]
        session.stop_node()
    summary = write_results(played, options.out, options.rate)
    _report(summary, options.out, time.monotonic() - began)
    if options.open:
        webbrowser.open((options.out / "index.html").resolve().as_uri())
    found = problems(played)
    for sentence in found:
        print(f"demo: {sentence}", file=sys.stderr)
    return 1 if found else 0


def write_results(played: "Sequence[Played]", out: Path, rate: float) -> dict[str, Any]:
    """Write summary.json and index.html; returns the summary."""
    from demo.page import render
    from demo.scoring import score, summarise

    scores = [score(part.record, part.min_frames) for part in played]
    summary = summarise(scores)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    (out / "index.html").write_text(render(played, scores, summary, rate), encoding="utf-8")
    return summary


def _report(summary: dict[str, Any], out: Path, seconds: float) -> None:
    """The figures, for the terminal."""

    def shown(value: float | None, form: str = ".3f") -> str:
        return "n/a" if value is None else format(value, form)

    latency = summary["latency_ms"]
    print(
        f"\nframes     {summary['frames_sent']} sent, {summary['frames_received']} received, "
        f"{summary['frames_inferred']} inferred, {summary['frames_dropped']} dropped\n"
        f"action     accuracy {shown(summary['action_accuracy'])} (newest frame), "
        f"{shown(summary['action_accuracy_window'])} (majority of the window)\n"
        f"points     mIoU {shown(summary['segmentation_miou_present'])}\n"
        f"latency    p50 {shown(latency['p50'], '.0f')} ms, p99 {shown(latency['p99'], '.0f')} ms, publish to label\n"
        f"page       {(out / 'index.html').resolve()}  (after {seconds:.0f} s)"
    )


def _seeds(text: str) -> tuple[int, ...]:
    values = tuple(int(part) for part in text.split(","))
    if any(value < 0 for value in values) or len(set(values)) != len(values):
        raise argparse.ArgumentTypeError(f"{text}: give different numbers, 0 or more, as in 7,8,9")
    return values


def _model(text: str) -> tuple[str, str]:
    kind, equals, path = text.partition("=")
    if kind not in MODELS or not equals or not path:
        raise argparse.ArgumentTypeError(f"{text}: give {' or '.join(f'{name}=PATH' for name in MODELS)}")
    return kind, path
