"""Command line of the replay: `ros2 run ros_pointata replay SOURCE [options]`."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pointata import DataError, PointataError
from pointata.data.open import known_layouts, open_recording
from pointata.data.recording import Recording
from pointata.paths import check_output_folder
from ros_pointata.arguments import at_least_one, at_least_zero, positive
from ros_pointata.replay.pace import Pace

if TYPE_CHECKING:
    from ros_pointata.replay.player import Player


def main(argv: Sequence[str] | None = None) -> int:
    """Play a recording; returns the exit code: 0 played or interrupted, 1 failed.

    Args:
        argv: arguments without the program name; None for the process's own. --ros-args are passed to ROS.
    """
    from rclpy.exceptions import NameValidationException
    from rclpy.utilities import try_shutdown

    from ros_pointata.executable import start_ros, without_ros_arguments

    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(without_ros_arguments(arguments))
    for stop in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in the background of a shell script
        signal.signal(stop, signal.default_int_handler)
    start_ros("replay", arguments)
    try:
        if options.summary is not None:
            check_output_folder(options.summary.parent)
        recording = open_recording(options.source, None)
        return _play(recording, options)
    except (PointataError, OSError) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    except NameValidationException as error:  # of a topic; the third line marks a place
        print(f"replay: {' '.join(' '.join(str(error).splitlines()[:2]).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        try_shutdown()


def build_parser() -> argparse.ArgumentParser:
    """All options with their defaults."""
    parser = argparse.ArgumentParser(
        prog="replay",
        description="Play a recording or the simulator as sensor_msgs/PointCloud2.",
        epilog='example: replay "sim:street?seed=3&split=test" --loop\n\n'
        f"SOURCE is one of these, options of the reader after it as in BAG?use_odometry=false&topic=/points;\n"
        f"{known_layouts()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", help="what to play, see below")
    add("--start", type=at_least_zero, default=0, help="number of the first frame (default 0)")
    add("--frames", type=at_least_one, help="how many frames to play (default: all)")
    add("--merge", type=at_least_one, default=1, metavar="N",
        help="join every N frames of a sparse sensor into one, for receivers that cannot; pointata_node does so by "
        "itself (window.merge), so leave it out there (default 1)")  # fmt: skip
    add("--loop", action="store_true", help="play again and again")
    add("--prefetch", type=at_least_one, default=4, help="frames read ahead in a thread (default 4)")

    pace = parser.add_argument_group("pace (default: as recorded)").add_mutually_exclusive_group()
    pace.add_argument("--rate", type=positive, default=1.0, help="speed as a multiple of the recorded one")
    pace.add_argument("--hz", type=positive, help="fixed number of frames a second")
    pace.add_argument("--as-fast-as-possible", action="store_true",
                      help="next frame as soon as reliable subscribers have acknowledged the last")  # fmt: skip

    time = parser.add_argument_group("time")
    time.add_argument("--stamps", choices=("auto", "now", "recorded"), default="auto",
                      help="now: system time of sending; recorded: as in the recording, so that --loop jumps back; "
                      "auto (default): recorded with --rate, --as-fast-as-possible or --clock, else now")  # fmt: skip
    time.add_argument("--clock", action="store_true", help="publish /clock (for nodes with use_sim_time)")

    topics = parser.add_argument_group("topics")
    topics.add_argument("--topic", default="/points", help="cloud topic (default /points); truth goes below it")
    topics.add_argument("--odometry-topic", default="/odom",
                        help="nav_msgs/Odometry of recordings with poses (default /odom)")  # fmt: skip
    topics.add_argument("--frame-id", help="frame_id of the clouds (default: the recording's)")
    topics.add_argument("--reliability", choices=("reliable", "best_effort"), default="reliable")
    topics.add_argument("--depth", type=at_least_one, default=5,
                        help="queue depth of clouds (default 5; always 1 with --as-fast-as-possible)")  # fmt: skip
    topics.add_argument("--wait-subscribers", type=at_least_zero, default=1, metavar="N",
                        help="start when N subscribers are matched on the cloud topic (default 1)")  # fmt: skip
    topics.add_argument("--wait-timeout", type=positive, default=60.0, metavar="SECONDS",
                        help="give up waiting for them after this time (default 60)")  # fmt: skip
    add("--summary", type=Path, metavar="FILE", help="write what was sent to a JSON file")
    return parser


def uses_recorded_stamps(options: argparse.Namespace) -> bool:
    """Whether clouds keep their recorded stamps under --stamps auto, now or recorded."""
    if options.stamps == "auto":
        return bool(options.clock or options.as_fast_as_possible or options.rate != 1.0)
    return bool(options.stamps == "recorded")


def _play(recording: Recording, options: argparse.Namespace) -> int:
    import rclpy

    from ros_pointata.replay.player import Player
    from ros_pointata.replay.publishers import ReplayPublishers, Topics
    from ros_pointata.replay.source import Prefetched, Selection, outgoing_frames

    node = rclpy.create_node("pointata_replay")
    reliable = options.reliability == "reliable"
    # Fast DDS asks for acknowledgement at once only where its queue is full, else every 3 s: unpaced means depth 1.
    depth = 1 if options.as_fast_as_possible else options.depth
    topics = Topics(options.topic, options.odometry_topic, reliable, depth, options.clock)
    publishers = ReplayPublishers(node, recording, topics)
    pace = Pace(options.merge / recording.rate_hz, options.rate, options.hz, options.as_fast_as_possible)
    player = Player(publishers, pace, uses_recorded_stamps(options))
    selection = Selection(options.start, options.frames, options.loop, options.frame_id, options.merge)
    print(f"replay: {recording.name}, {len(recording)} frames, {recording.rate_hz:.3g} Hz, {topics.cloud}", flush=True)
    if options.wait_subscribers:
        wanted, patience = options.wait_subscribers, options.wait_timeout
        print(f"replay: waits for {wanted} subscriber(s) on {topics.cloud}, at most {patience:g} s", flush=True)
    frames = Prefetched(outgoing_frames(recording, selection), options.prefetch)
    try:
        if not publishers.wait_for_subscribers(options.wait_subscribers, options.wait_timeout):
            raise DataError(
                f"fewer than {options.wait_subscribers} subscribers on {topics.cloud} in {options.wait_timeout:g} s; "
                "start them, or give --wait-subscribers 0"
            )
        player.play(frames)
        publishers.linger(0.3)
    finally:
        frames.close()
        _report(player, options.summary)
        node.destroy_node()
    return 0


def _report(player: "Player", summary: Path | None) -> None:
    """The final line, and the JSON file if wanted."""
    sent = player.statistics
    print(
        f"replay: {len(sent.stamps_ns)} frames sent in {sent.duration_s:.2f} s ({sent.achieved_hz:.2f} Hz), "
        f"{sent.late_frames} late",
        flush=True,
    )
    if summary is not None:
        summary.parent.mkdir(parents=True, exist_ok=True)
        summary.write_text(json.dumps(sent.as_dict(), indent=1))
