"""Child processes of a run, and the ROS domain that it has for itself."""

import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from ros_pointata.testing.processes import ChildProcess, RunError, free_domain, isolated_environment


def test_a_process_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"]
    with ChildProcess("node", command, tmp_path / "log", {}) as process:
        end = time.monotonic() + 20
        while process.returncode is None and time.monotonic() < end:
            time.sleep(0.02)
        with pytest.raises(RunError, match=r"(?s)node ended with status 3.*out of luck"):
            process.require_running()


def test_a_process_that_ignores_interrupts_is_ended(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with ChildProcess("node", [sys.executable, "-c", code], tmp_path / "log", {}) as process:
        process.require_running()
        end = time.monotonic() + 20
        while "up" not in process.last_words() and time.monotonic() < end:
            time.sleep(0.02)
        assert process.stop(patience_s=0.3) == -signal.SIGTERM


def test_processes_share_a_free_domain_on_this_machine_only() -> None:
    environment = isolated_environment()
    domain = int(environment["ROS_DOMAIN_ID"])
    assert 1 <= domain <= 101
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert Path(environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()


def test_a_domain_in_use_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[int] = []
    while len(set(free)) < 2:
        free.append(free_domain())
    taken, left = set(free)
    monkeypatch.setattr("ros_pointata.testing.processes._DOMAINS", (taken, left))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 7400 + 250 * taken))
        assert free_domain() == left
