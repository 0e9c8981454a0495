"""The executable as a process: its command line, its exit status, and its end in every state."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

MAIN = "import sys; from ros_pointata.node import main; sys.exit(main(sys.argv))"
#: The same, but the model takes for ever to load, in C (a lock without a limit), and says when it has begun.
SLOW = """
import sys, threading
import ros_pointata.node as node
def load(parameters):
    sys.stderr.write("loading\\n"); sys.stderr.flush()
    threading.Lock().acquire() and threading.Event().wait()
node.load_predictor = load
sys.exit(node.main(sys.argv))
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@contextmanager
def _node(*arguments: str, main: str = MAIN) -> Iterator["Node"]:
    environment = os.environ | {"ROS_DOMAIN_ID": str(random.SystemRandom().randint(1, 100))}
    process = subprocess.Popen(
        [sys.executable, "-c", main, *arguments], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield Node(process)
    finally:
        process.kill()
        process.communicate()


class Node:
    """A process whose error stream is read line by line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def wait_for(self, text: str, timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while text not in (said := "".join(self.lines)):
            assert time.monotonic() < end, f"waited for {text!r}:\n{said}"
            assert self.process.poll() is None or text in "".join(self.lines), said
            time.sleep(0.01)

    def end(self, *signals: signal.Signals, timeout_s: float = 10.0) -> str:
        """Send signals, 20 ms apart; the exit status must be 0. Returns what was said."""
        for number in signals:
            if self.process.poll() is None:
                self.process.send_signal(number)
            time.sleep(0.02)
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        said = "".join(self.lines)
        assert status == 0, said
        assert "Traceback" not in said
        return said


@pytest.mark.parametrize("number", SIGNALS)
def test_it_idles_cheaply_and_ends_cleanly_on_signals(number: signal.Signals) -> None:
    with _node("--ros-args", "-p", "autostart:=false") as node:
        time.sleep(3.0)  # the interpreter and rclpy are up
        before = _cpu_ticks(node.process.pid)
        time.sleep(1.0)
        assert node.process.poll() is None
        assert _cpu_ticks(node.process.pid) - before < 0.3 * os.sysconf("SC_CLK_TCK")
        node.end(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_model_is_loaded_does_not_wait_for_it(number: signal.Signals) -> None:
    with _node(main=SLOW) as node:
        node.wait_for("loading")
        assert "told to end before the model was loaded" in node.end(number)


def test_the_real_model_and_signals_in_a_row() -> None:
    with _node("--ros-args", "-p", "model:=sim_room") as node:
        node.wait_for("model sim_room is loaded")
        node.end(signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGINT)


def test_what_cannot_start_by_itself_ends_with_a_status_and_a_sentence() -> None:
    with _node("--ros-args", "-p", "model:=/no/such/bundle") as node:
        node.wait_for("cannot configure: ")
        assert node.process.wait(20) == 1
    with _node("--ros-args", "-p", "motion.mounting:=[]", "-p", "autostart:=false") as node:
        node.wait_for("motion.mounting: an empty value is refused, allowed: 6 numbers")
        node.end(signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--params-file", "none.yaml"], "Couldn't parse params file: '--params-file none.yaml'. Error: Error opening"),
        (["-r", "__node:=bad-name"], "Couldn't parse remap rule: '-r __node:=bad-name'"),
    ],
)
def test_what_ros_cannot_read_is_a_sentence(arguments: list[str], sentence: str) -> None:
    words = [sys.executable, "-c", MAIN, "--ros-args", *arguments]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert f"pointata_node: ROS does not start: failed to initialize rcl: {sentence}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_help_explains_and_other_words_are_refused() -> None:
    helped = subprocess.run([sys.executable, "-c", MAIN, "--help"], capture_output=True, text=True, timeout=60)
    assert helped.returncode == 0
    for text in ("~/input/pointcloud", "window.max_gap_s", "/diagnostics", "-p model:=sim_street"):
        assert text in helped.stdout
    for words, sentence in ((["model:=x"], "-p NAME:=VALUE"), (["--ros-args", "--", "x"], "unrecognized arguments: x")):
        refused = subprocess.run([sys.executable, "-c", MAIN, *words], capture_output=True, text=True, timeout=60)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert sentence in refused.stderr


def _cpu_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("executable", ["node", "replay"])
def test_ctrl_c_while_the_program_is_imported_is_one_line(executable: str) -> None:
    """It strikes at the first of the large libraries."""
    code = f"""
import sys, importlib.abc
class Interrupted(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("rclpy", "numpy"):
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from ros_pointata.commands import {executable}
sys.exit({executable}())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert re.fullmatch(r"(pointata_node|replay): stopped by Ctrl-C\n", done.stderr)
