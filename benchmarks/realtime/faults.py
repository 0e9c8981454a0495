"""The node under faults, and through many lifecycles: what became of every cloud, memory, threads, descriptors.

    PYTHONPATH=benchmarks python -m realtime.faults [--seconds 600] [--hz 10]
    PYTHONPATH=benchmarks python -m realtime.faults --cycles 100

The node is a process of its own with the bundle sim_room; this one sends clouds of a simulated room, every fifth of
them replaced by the next fault of `bad_clouds`, odometry beside them that diverges once in a while, and takes all
outputs. Input is reliable with a deep history, so that a cloud that is missing was lost by the node.
"""

import argparse
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import PointCloud2

from pointata.data.open import open_recording
from realtime.bad_clouds import FAULTS
from ros_pointata.io.cloud import ns_to_stamp, to_pointcloud2
from ros_pointata.monitoring.health import FRAME_COUNTERS
from ros_pointata.msg import ActionPrediction
from ros_pointata.testing.node_control import NodeControl
from ros_pointata.testing.processes import ChildProcess, RunError, isolated_environment, node_command

NODE, CLOUDS, ODOMETRY = "/pointata", "/points", "/odom"
_RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
_EVERY, _DIVERGES_EVERY = 5, 97
_UP_S, _SETTLE_S = 60.0, 20.0


class Client:
    """Sends clouds and odometry, and keeps the node's newest account of itself; spun on a thread of its own."""

    def __init__(self) -> None:
        self.sent = 0
        self.answers: list[ActionPrediction] = []
        self.account: dict[str, str] = {}
        self.complaints: set[str] = set()
        self.node = rclpy.create_node("faults_client")
        self._clouds = self.node.create_publisher(PointCloud2, CLOUDS, _RELIABLE)
        self._odometry = self.node.create_publisher(Odometry, ODOMETRY, _RELIABLE)
        self.node.create_subscription(ActionPrediction, f"{NODE}/output/action", self.answers.append, _RELIABLE)
        self.node.create_subscription(PointCloud2, f"{NODE}/output/pointcloud/segmentation", lambda _: None, _RELIABLE)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _RELIABLE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        recording = open_recording("sim:room?seed=3&split=test&frames=50")
        self.room = [to_pointcloud2(item.frame, frame_id="sensor") for item in recording]

    def send(self, cloud: PointCloud2) -> None:
        """Publish a cloud, and count it."""
        self._clouds.publish(cloud)
        self.sent += 1

    def send_odometry(self, stamp_ns: int, x: float) -> None:
        """Publish a pose x metres ahead."""
        message = Odometry()
        message.header.stamp = ns_to_stamp(stamp_ns)
        message.pose.pose.position.x = x
        message.pose.pose.orientation.w = 1.0
        self._odometry.publish(message)

    def wait_until_matched(self) -> None:
        """Until the node takes the clouds."""
        end = time.monotonic() + _UP_S
        while not self._clouds.get_subscription_count():
            if time.monotonic() > end:
                raise RunError(f"the node did not take {CLOUDS} within {_UP_S:g} s")
            time.sleep(0.05)
        time.sleep(1.0)  # a publisher and a subscription find each other one after the other

    def wait_for_answers(self, more: int) -> None:
        """Until the node has answered so many further clouds."""
        wanted, end = len(self.answers) + more, time.monotonic() + _SETTLE_S
        while len(self.answers) < wanted:
            if time.monotonic() > end:
                raise RunError(f"the node did not answer within {_SETTLE_S:g} s")
            time.sleep(0.02)

    def counts(self) -> dict[str, int]:
        """Frame counters of the newest message."""
        return {name: int(self.account.get(f"frames {name}", 0)) for name in FRAME_COUNTERS}

    def settle(self) -> dict[str, int]:
        """Counters once every cloud sent is accounted for, or the time for it is over."""
        end = time.monotonic() + _SETTLE_S
        while time.monotonic() < end:
            counts = self.counts()
            if counts["received"] == self.sent == sum(counts.values()) - counts["received"]:
                break
            time.sleep(0.2)
        return self.counts()

    def close(self) -> None:
        """End the thread before what it spins goes."""
        self._executor.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        self.account = {value.key: value.value for value in status.values}
        self.complaints.add(re.sub(r"\d+(\.\d+)?", "#", status.message)[:100])

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()


def of_process(pid: int) -> dict[str, int]:
    """Resident memory in MB, threads and open descriptors of a process (proc(5))."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return {"rss_mb": int(status["VmRSS"].split()[0]) // 1024, "threads": int(status["Threads"]), "fds": descriptors}


@contextmanager
def running_node(folder: Path) -> Iterator[tuple[ChildProcess, Client]]:
    """The node, active, and a client that it is matched with; the exit status of the node is printed at the end."""
    os.environ.update(isolated_environment())
    parameters = ("model:=sim_room", "motion.source:=odometry", "motion.timeout_s:=0.0", "input.reliability:=reliable",
                  "input.depth:=50", "window.stride:=1", "diagnostics.period_s:=0.5")  # fmt: skip
    names = (f"~/input/pointcloud:={CLOUDS}", f"~/input/odometry:={ODOMETRY}")
    command = node_command(parameters, names)
    rclpy.init()
    try:
        with ChildProcess("node", command, folder / "node.log", os.environ) as node:
            client = Client()
            try:
                client.wait_until_matched()
                yield node, client
                sys.stdout.write(f"the node ended with status {node.stop()}\n")
            finally:
                client.close()
    finally:
        try_shutdown()


def paced(hz: float) -> Iterator[int]:
    """0, 1, 2, ... at that rate; a late one is not made up for."""
    due = time.monotonic()
    number = 0
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + 1 / hz, time.monotonic())
        yield number
        number += 1


def under_faults(seconds: float, hz: float, folder: Path) -> bool:
    """Send faults among good clouds, print the account; whether it is exact and no answer is NaN."""
    with running_node(folder) as (node, client):
        faults = cycle(FAULTS.items())
        end, faulty = time.monotonic() + seconds, 0
        report(0.0, node, client)
        began, next_report = time.monotonic(), time.monotonic() + 60
        for number in paced(hz):
            node.require_running()
            now = time.monotonic()
            if now > end:
                break
            if now > next_report:
                report(now - began, node, client)
                next_report += 60
            cloud, stamp_ns = client.room[number % len(client.room)], time.time_ns()
            cloud.header.stamp = ns_to_stamp(stamp_ns)
            diverged = number % _DIVERGES_EVERY == _DIVERGES_EVERY - 1
            client.send_odometry(stamp_ns, 1e30 if diverged else 0.001 * (number % 1000))
            name, fault = next(faults) if number % _EVERY == _EVERY - 1 else ("", lambda cloud: [cloud])
            for message in fault(cloud):
                client.send(message)
                faulty += bool(name)
        counts = client.settle()
        report(time.monotonic() - began, node, client)
        unclear = sum(not answer.score >= 0 for answer in client.answers)
        accounted = sum(counts.values()) - counts["received"]
        terms = " + ".join(f"{name} {counts[name]}" for name in FRAME_COUNTERS[1:] if counts[name])
        sys.stdout.write(
            f"sent {client.sent} ({faulty} faulty), received {counts['received']} = {terms}\n"
            f"answers {len(client.answers)}, {unclear} with a score that is not a number\n"
            + "".join(f"said: {text}\n" for text in sorted(client.complaints))
        )
    return client.sent == counts["received"] == accounted and not unclear


def through_cycles(cycles: int, hz: float, folder: Path) -> bool:
    """Deactivate, clean up, configure and activate again and again under load, print what the process takes."""
    with running_node(folder) as (node, client):
        stop = threading.Event()
        sender = threading.Thread(target=_send_until, args=(client, hz, stop))
        sender.start()
        control = NodeControl(client.node, NODE, node.require_running)
        try:
            control.wait_until_up(_UP_S)
            for number in range(cycles + 1):
                if number % 10 == 0:
                    sys.stdout.write(f"after {number:4d} cycles: {of_process(node.pid)}\n")
                    sys.stdout.flush()
                if number < cycles:
                    client.wait_for_answers(3)
                    control.reconfigure({})
        finally:
            stop.set()
            sender.join()
        counts = client.settle()
        sys.stdout.write(f"received {counts['received']} = {sum(counts.values()) - counts['received']} accounted for\n")
    return counts["received"] == sum(counts.values()) - counts["received"]


def _send_until(client: Client, hz: float, stop: threading.Event) -> None:
    for number in paced(hz):
        if stop.is_set():
            return
        cloud = client.room[number % len(client.room)]
        cloud.header.stamp = ns_to_stamp(time.time_ns())
        client.send(cloud)


def report(seconds: float, node: ChildProcess, client: Client) -> None:
    """One line of the process and the counters."""
    sys.stdout.write(f"{seconds:5.0f} s: {of_process(node.pid)}, {client.counts()}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the two; 0 where the account is exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="duration of the run under faults")
    parser.add_argument("--hz", type=float, default=None, help="clouds a second (10; with --cycles 20)")
    parser.add_argument("--cycles", type=int, default=0, help="lifecycles under load instead of faults")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="faults_") as name:
        folder = Path(name)
        try:
            if given.cycles:
                exact = through_cycles(given.cycles, given.hz or 20.0, folder)
            else:
                exact = under_faults(given.seconds, given.hz or 10.0, folder)
        except RunError as error:
            log = (folder / "node.log").read_text(errors="replace").splitlines()[-30:]
            sys.stderr.write("\n".join([f"{error}; the node said last:", *log, ""]))
            return 1
    return int(not exact)


if __name__ == "__main__":
    sys.exit(main())
