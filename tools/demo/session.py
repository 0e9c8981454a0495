"""A demo run: node, replay and recorder as they come and go."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo.live import Display, snapshot
from demo.played import Played
from demo.record import ScenarioRecord
from demo.recorder import Recorder, Spinner
from demo.scenario import Scenario
from ros_pointata.monitoring.health import FRAME_COUNTERS
from ros_pointata.testing.node_control import NodeControl
from ros_pointata.testing.processes import ChildProcess, RunError, node_command

NODE = "/pointata"
CLOUDS, ODOMETRY = "/points", "/odom"
#: Shipped defaults, apart from these: no cloud may be lost between the processes, which a best-effort input allows.
NODE_PARAMETERS = ("autostart:=false", "input.reliability:=reliable", "input.depth:=50", "output.depth:=50")
_PICTURES = 6
_DRAIN_S = 5.0
#: Frame counters at which a frame ends.
_ENDS = tuple(name for name in FRAME_COUNTERS if name != "received")


class Session:
    """One node process, set up for one scenario after the other; to be used in a `with` block.

    Args:
        out: folder for logs and summaries of the processes.
        environment: variables of the processes.
        display: what the user sees.
        interrupted: called while waiting; raises where the user wants to stop.
        rate: speed as a multiple of the sensors'.
    """

    def __init__(
        self,
        out: Path,
        environment: dict[str, str],
        display: Display,
        interrupted: Callable[[], None],
        rate: float = 1.0,
    ) -> None:
        self._out = out
        self._environment = environment
        self._display = display
        self._interrupted = interrupted
        self._rate = rate
        self._stack = ExitStack()

    def __enter__(self) -> "Session":
        with ExitStack() as stack:
            self._spinner = stack.enter_context(Spinner("pointata_demo"))
            self._recorder = Recorder(self._spinner.node, NODE, CLOUDS)
            self._node = stack.enter_context(self._start_node())
            self._control = NodeControl(self._spinner.node, NODE, self._check)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def play(self, scenario: Scenario) -> Played:
        """Set the node up and play every scene.

        Raises:
            RunError: a process died, or the node could not be set up.
        """
        self._set_up(scenario)
        before = self._fresh_counts()
        stride = max(1, scenario.frame_count // _PICTURES)
        record = ScenarioRecord(scenario.name, picture_stride=min(stride, max(1, scenario.frames // 2)))
        self._recorder.start(record)
        late = 0
        for number, seed in enumerate(scenario.seeds):
            with self._recorder.locked():
                record.begin_play(number)
            late += self._play_scene(scenario, number, seed, record)
        record.node_counts = self._final_counts(before, len(record.sent_frames))
        self._recorder.stop()
        min_frames = int(self._control.parameter("window.min_frames") or 1)
        return Played(scenario, record, min_frames, late)

    def stop_node(self) -> None:
        """End the node; RunError unless it ends well."""
        self._check()
        status = self._node.stop()
        if status != 0:
            raise RunError(f"the node ended with status {status}; its last words:\n{self._node.last_words()}")

    def _start_node(self) -> ChildProcess:
        inputs = (f"~/input/pointcloud:={CLOUDS}", f"~/input/odometry:={ODOMETRY}")
        command = node_command(NODE_PARAMETERS, inputs)
        return ChildProcess("node", command, self._out / "node.log", self._environment)

    def _set_up(self, scenario: Scenario) -> None:
        self._display.say(f"{scenario.name}: the node loads {scenario.model} ...")
        began = time.monotonic()
        self._control.wait_until_up(60.0)
        self._recorder.forget_classes()
        try:
            self._control.reconfigure({"model": scenario.model, "motion.source": scenario.motion})
        except RunError as error:
            raise RunError(f"{error}; the node's last words:\n{self._node.last_words()}") from error
        self._wait(lambda: self._recorder.bundle("classes") or self._recorder.bundle("actions"), 10.0,
                   f"{NODE} latched no class list although it is active")  # fmt: skip
        time.sleep(0.3)  # the other list, where there are two, was sent at the same moment
        self._display.say(f"{scenario.name}: {scenario.model} is active after {time.monotonic() - began:.1f} s")

    def _fresh_counts(self) -> Counter[str]:
        self._recorder.forget_counts()
        self._wait(lambda: self._recorder.counts() is not None, 10.0, f"{NODE} publishes no diagnostics")
        return self._recorder.counts() or Counter()

    def _final_counts(self, before: Counter[str], sent: int) -> Counter[str]:
        """What the node counted since `before`, as soon as every frame is accounted for, else after a while."""
        end = time.monotonic() + _DRAIN_S
        while True:
            counted = self._fresh_counts() - before
            settled = counted["received"] == sum(counted[name] for name in _ENDS) == sent
            if settled or time.monotonic() > end:
                return counted

    def _play_scene(self, scenario: Scenario, number: int, seed: int, record: ScenarioRecord) -> int:
        """Replay one scene to its end and wait for the last answer; returns the number of late frames.

        The node drops a waiting cloud for a newer one, so that the last cloud's answer is the last answer.
        """
        summary = self._out / f"replay_{scenario.name}_{seed}.json"
        summary.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ros_pointata.replay", scenario.source(seed), "--topic", CLOUDS,
                   "--odometry-topic", ODOMETRY, "--rate", str(self._rate), "--wait-subscribers", "2",
                   "--depth", "50", "--summary", str(summary)]  # fmt: skip
        scene = f"{scenario.name}, seed {seed} ({number + 1} of {len(scenario.seeds)})"
        with ChildProcess(f"replay of {scene}", command, summary.with_suffix(".log"), self._environment) as replay:
            while replay.returncode is None:
                self._show(record, scene)
            if replay.returncode != 0:
                raise RunError(
                    f"the {replay.name} ended with status {replay.returncode}; its last words:\n{replay.last_words()}"
                )
        sent = json.loads(summary.read_text())
        end = time.monotonic() + _DRAIN_S
        while time.monotonic() < end and not self._is_answered(record, number, sent["stamps_ns"][-1]):
            self._show(record, scene)
        time.sleep(0.2)  # for what the node publishes after the answer
        with self._recorder.locked():
            record.end_play(sent["stamps_ns"])
            state = snapshot(record, scene)
        self._display.show(state, final=True)
        return int(sent["late_frames"])

    def _is_answered(self, record: ScenarioRecord, play: int, stamp_ns: int) -> bool:
        with self._recorder.locked():
            return record.is_answered(play, stamp_ns)

    def _show(self, record: ScenarioRecord, scene: str) -> None:
        self._check()
        with self._recorder.locked():
            state = snapshot(record, scene)
        self._display.show(state)
        time.sleep(0.2)

    def _wait(self, condition: Callable[[], Any], timeout_s: float, sentence: str) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            self._check()
            if time.monotonic() > end:
                raise RunError(sentence)
            time.sleep(0.05)

    def _check(self) -> None:
        """Raise where there is no point in going on: the user stops it, the node has ended, or the recorder failed."""
        self._interrupted()
        self._node.require_running()
        self._spinner.check()
