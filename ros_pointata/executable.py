"""The life of the executable: its command line, what ends it, and how it ends in bounded time."""

import argparse
import gc
import logging
import os
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any, Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from ros_pointata.config.parameters import SPECS

#: Longest wait for the callback at hand once the process is to end; launch kills 5 s after its SIGTERM.
PATIENCE_S = 2.0
#: Exit status where ROS does not start, or autostart is true and the node cannot be configured or activated.
CANNOT_START = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_HELP = """Runs a weight bundle on the point clouds of one sensor and publishes actions and a class for every point.

topics (~ is /pointata, the node's name):
  ~/input/pointcloud       sensor_msgs/PointCloud2; remap it to the topic of the sensor
  ~/input/odometry         nav_msgs/Odometry, where motion.source is odometry
  ~/output/action, ~/output/action_segments, ~/output/pointcloud/segmentation, ~/output/pointcloud/visualization,
  ~/output/pointcloud/moving: those of the bundle's tasks; ~/debug/timings
  /diagnostics             what the node counts, and what is wrong
services: ~/reset, ~/enable, and those of every lifecycle node

example:
  pointata_node --ros-args -r '~/input/pointcloud:=/points' -p model:=sim_street --params-file node.yaml
"""


class Served(Protocol):
    """The node, as far as the executable needs it."""

    context: Any
    ending: "Future[None]"
    autostart: Callable[[], bool]
    end: Callable[[], None]
    release: Callable[[], None]
    destroy_node: Callable[[], None]
    get_logger: Callable[[], Any]


def read_arguments(argv: Sequence[str]) -> None:
    """Answer --help and refuse what is not a ROS argument, as argparse does.

    Args:
        argv: of the process, the program first.
    """
    parameters = "\n".join(
        textwrap.fill(
            f"{spec.name:25} {spec.text} [{spec.allowed}]", 118, initial_indent="  ", subsequent_indent=" " * 28
        )
        for spec in SPECS
    )
    parser = argparse.ArgumentParser(
        prog="pointata_node", usage="pointata_node [-h] [--ros-args ...]", description=_HELP,
        epilog=f"parameters (-p NAME:=VALUE):\n{parameters}\n\nexit status: 0 after SIGINT or SIGTERM, 130 after "
        f"SIGINT while the program is still imported; {CANNOT_START} where ROS does not start, or autostart is true "
        "and the node cannot be configured",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    words = without_ros_arguments(argv[1:])
    if any(":=" in word for word in words):  # rcl takes it for a remapping, says so in passing, and starts the default
        parser.error(f"{' '.join(words)}: give parameters as --ros-args -p NAME:=VALUE")
    parser.parse_args(words)


def without_ros_arguments(words: Sequence[str]) -> list[str]:
    """What stands outside of `--ros-args ... --`."""
    result, inside = [], False
    for word in words:
        if inside or word == "--ros-args":
            inside = word != "--"
        else:
            result.append(word)
    return result


def start_ros(program: str, arguments: Sequence[str]) -> None:
    """Start ROS without signal handlers of its own; what it cannot read of its arguments or their files ends the
    process with a sentence.

    Args:
        program: that says it.
        arguments: with or without the program first.
    """
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy's own, which has no public name
        reason = str(error).partition(", at /")[0]  # without the lines of rcl's code
        print(f"{program}: ROS does not start: {reason}", file=sys.stderr)
        raise SystemExit(CANNOT_START) from None


def catch_signals() -> "SimpleQueue[int]":
    """A queue that gets the exit status 0 at each SIGINT and SIGTERM; to be called on the main thread.

    rclpy's own handlers wake executors from a thread that may outlive what it wakes (a crash in librcl), so they are
    not installed. `SimpleQueue.put` is the one way of waking a thread that a signal handler may use.
    """
    ends: SimpleQueue[int] = SimpleQueue()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: ends.put(0))
    return ends


@cache
def freeze_modules() -> None:
    """Keep the collector from torch's modules: a full collection over 180,000 objects would hold a cloud up by 50 ms.

    Once, and on the thread that loads the first model, as importing them takes seconds.
    """
    import pointata.inference.predictor  # noqa: F401

    gc.collect()
    gc.freeze()


def run(node: "Served", ends: "SimpleQueue[int]") -> int:
    """Serve the node on a thread until there is an exit status in the queue, and give everything back.

    Returns:
        The exit status. A thread that is still at work with a cloud may be left behind: see `leave`.
    """
    serving = threading.Thread(target=_serve, args=(node, ends), name="pointata_executor", daemon=True)
    serving.start()
    status = ends.get()
    node.end()
    serving.join(PATIENCE_S)
    if not serving.is_alive():
        node.release()
        node.destroy_node()
    try_shutdown()
    return status


def leave(status: int) -> int:
    """The exit status; where one of the node's threads is still at work, the process ends here and now.

    The interpreter's own way out would wait for a thread inside of torch, or abort in it.
    """
    for number in _SIGNALS:  # the interpreter puts its own handlers back on its way out: a second signal would kill
        signal.signal(number, signal.SIG_IGN)
    if any(thread.name.startswith("pointata_") for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    return status


def _serve(node: "Served", ends: "SimpleQueue[int]") -> None:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    status = CANNOT_START
    try:
        if node.autostart():
            spin(node, executor)
            status = 0
    except Exception as error:
        node.get_logger().fatal(f"the node ends: {error}\n{traceback.format_exc()}")
    finally:
        with suppress(Exception):  # of an executor whose context went under it
            executor.shutdown()
        ends.put(status)


def spin(node: "Served", executor: SingleThreadedExecutor) -> None:
    """Run callbacks until the node or ROS ends; one that raises is logged, the node goes on.

    rclpy lets a lifecycle transition that the current state forbids raise out of the executor.
    """
    while node.context.ok() and not node.ending.done():
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception as error:
            if node.context.ok():
                node.get_logger().error(f"a callback failed: {error}\n{traceback.format_exc()}")
