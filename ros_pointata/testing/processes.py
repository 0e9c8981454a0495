"""Child processes, and the environment that isolates them from other ROS systems on the machine and beyond."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pointata import PointataError
from ros_pointata.io.dds_profile import VARIABLES, profile_path

#: Domains whose ports lie below the ephemeral range of Linux.
_DOMAINS: Sequence[int] = range(1, 102)


class RunError(PointataError):
    """A run of several processes could not be carried out completely."""


def isolated_environment() -> dict[str, str]:
    """Variables for every process of a run: a free domain, this machine only, buffers for large clouds."""
    environment = {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_STATIC_PEERS": "",
        "PYTHONUNBUFFERED": "1",
    }
    profile = profile_path()
    return environment | ({} if profile is None else dict.fromkeys(VARIABLES, str(profile)))


def free_domain() -> int:
    """A random ROS domain whose first UDP ports nobody on this machine uses (RTPS 2.5, section 9.6.2)."""
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        base = 7400 + 250 * domain
        if all(_is_free(port) for port in (base, base + 1, base + 10, base + 11)):
            return domain
    raise RunError("no ROS domain from 1 to 101 is free on this machine; end other ROS programs")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def node_command(parameters: Iterable[str], remappings: Iterable[str]) -> list[str]:
    """The node by this Python, whatever is on the PATH; both as name:=value."""
    words = [sys.executable, "-c", "import sys; from ros_pointata.commands import node; sys.exit(node())", "--ros-args"]
    words += [word for parameter in parameters for word in ("-p", parameter)]
    return words + [word for remapping in remappings for word in ("-r", remapping)]


class ChildProcess:
    """A process with its output in a file; ended, at the latest, when the `with` block is left."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C is for the parent, which then ends its children in order
            )

    def __enter__(self) -> "ChildProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status; None while running."""
        return self._process.poll()

    def require_running(self) -> None:
        """Raise RunError where the process has ended."""
        if self.returncode is not None:
            raise RunError(f"the {self.name} ended with status {self.returncode}; its last words:\n{self.last_words()}")

    def last_words(self, lines: int = 12) -> str:
        """End of the process's output, with its place."""
        tail = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([*(f"  {line}" for line in tail), f"  (all of it: {self.log})"])

    def stop(self, patience_s: float = 8.0) -> int:
        """Interrupt, terminate, kill, with a wait of `patience_s` after each; returns the exit status."""
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.returncode is not None:
                break
            self._process.send_signal(sign)
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
        return self._process.wait()
