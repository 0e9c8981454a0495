"""The real node over DDS: one process for it, and one that sends it clouds and takes the labels."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.machine import load
from realtime.networks import config, write_bundle

# Within LOCALHOST, rmw_fastrtps adds shared memory whose segments are smaller than a cloud: most best-effort clouds are
# lost there, whatever the profile says. SUBNET is the default of ROS.
_DISCOVERY = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}


@dataclass(frozen=True)
class Case:
    """A preset, a sensor and its rate."""

    preset: str
    points: int
    hz: int
    parameters: tuple[str, ...] = ()
    """Of the node, as name:=value, where they are not the defaults."""
    suffix: str = ""

    @property
    def name(self) -> str:
        """As in results.json: base_130k_10hz."""
        return f"{self.preset}_{self.points // 1000}k_{self.hz}hz{self.suffix}"


#: Points that the network sees of each cloud: those of Point-MAE.
SAMPLED = 1024
CASES = (
    Case("base", 130_000, 10, ("torch_threads:=2", "precision:=int8")),
    Case("base", 130_000, 10, ("torch_threads:=2",), "_fp32"),
    Case("tiny", 260_000, 20),
)


def measure_node(case: Case, frames: int, folder: Path) -> dict[str, Any]:
    """Latency from publish to label and what became of every cloud; the input is best effort.

    Args:
        case: what to run.
        frames: clouds that count, after a warm-up of 20.
        folder: for the bundle, the logs and the client's result.
    """
    # the demo's processes: isolated domain, DDS profile of the product, ended in order whatever happens
    from ros_pointata.testing.processes import ChildProcess, isolated_environment, node_command

    bundle = write_bundle(folder / "bundles", config(case.preset), 1 / case.hz, SAMPLED)
    out = folder / f"client_{case.name}.json"
    out.unlink(missing_ok=True)
    environment = isolated_environment() | _DISCOVERY | {"PYTHONPATH": str(Path(__file__).parents[1])}
    parameters = (f"model:={bundle}", "device:=cpu", "window.stride:=1", *case.parameters)
    node = node_command(parameters, ["~/input/pointcloud:=/points"])
    client = [sys.executable, "-m", "realtime.node_client", "--points", str(case.points), "--hz", str(case.hz),
              "--frames", str(frames), "--out", str(out)]  # fmt: skip
    before = load()
    with ChildProcess("node", node, folder / f"node_{case.name}.log", environment) as running:
        with ChildProcess("client", client, folder / f"client_{case.name}.log", environment) as sending:
            while sending.returncode is None:
                running.require_running()
                time.sleep(0.2)
            if sending.returncode:
                raise SystemExit(f"the client failed:\n{sending.last_words()}\nthe node says:\n{running.last_words()}")
        if running.stop():
            raise SystemExit(f"the node failed:\n{running.last_words()}")
    result: dict[str, Any] = json.loads(out.read_text())
    conditions = {"hz": case.hz, "window": 24, "sampled": SAMPLED, "parameters": list(case.parameters)}
    return result | conditions | {"load_before": before, "load_after": load()}
