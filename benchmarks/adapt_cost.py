"""What stage 2 costs against full fine-tuning: time and memory of a training step, and of inference.

    python benchmarks/adapt_cost.py [--preset base] [--clips 4] [--frames 24] [--steps 6]

Both modes train the same network on the same made-up clips, turn by turn in one process (so that a noisy machine hits
both), and once more each in a process of its own for the peak of memory. Ratios are adapters / full. The figures go
into docs/results.json under `cost`.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from grid import record

from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.model.tensors import to_device
from pointata.model.trainable import Mode, freeze_statistics, parameter_counts, set_trainable
from pointata.system.memory import keep_freed_memory
from pointata.training.run_log import peak_memory_mib

MODES: tuple[Mode, Mode] = ("adapters", "full")
_CLASSES = 20


def build(given: argparse.Namespace, mode: Mode) -> Callable[[], None]:
    """A function that makes one training step in a mode."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = preset(given.preset, window=given.frames, heads={"action": _CLASSES})
    model = PointATA(network).to(device)
    set_trainable(model, mode, point_net=False)
    model.train()
    freeze_statistics(model, mode, point_net=False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    shape = (given.clips, given.frames)
    clip = Clip(
        torch.randn(*shape, given.points, 3),
        torch.zeros(*shape, 3, dtype=torch.float64),
        torch.arange(given.frames, dtype=torch.float64).expand(shape) / 10,
    )
    clip = to_device(clip, device)
    truth = torch.randint(_CLASSES, (given.clips,), device=device)

    def step() -> None:
        loss = F.cross_entropy(model(clip)["action"][:, -1], truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def time_both(given: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step in each mode, the modes taking turns."""
    steps = {mode: build(given, mode) for mode in MODES}
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    for turn in range(given.steps + 1):
        for mode in MODES if turn % 2 else reversed(MODES):
            start = time.perf_counter()
            steps[mode]()
            if turn:  # the first is a warm-up
                seconds[mode].append(time.perf_counter() - start)
    return {mode: median(values) for mode, values in seconds.items()}


def memory_alone(given: argparse.Namespace, mode: Mode) -> float:
    """Peak memory that two training steps add to a fresh process, MiB."""
    options = [f"--{name}={getattr(given, name)}" for name in ("preset", "clips", "frames", "points", "threads")]
    command = [sys.executable, __file__, *options, f"--alone={mode}"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure, print, write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("tiny", "small", "base"), default="base")
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--alone", choices=MODES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.alone:
        step, before = build(given, given.alone), peak_memory_mib()
        step(), step()
        sys.stdout.write(f"{peak_memory_mib() - before}\n")
        return
    keep_freed_memory()
    seconds = time_both(given)
    memory = {mode: memory_alone(given, mode) for mode in MODES}
    network = PointATA(preset(given.preset, window=given.frames, heads={"action": _CLASSES}))
    trained = {mode: parameter_counts(network, mode, point_net=False)[0] for mode in MODES}
    cost: dict[str, Any] = {
        "time_ratio": round(seconds["adapters"] / seconds["full"], 3),
        "memory_ratio": round(memory["adapters"] / memory["full"], 3),
        "preset": given.preset, "clips": given.clips, "frames": given.frames,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU x {torch.get_num_threads()}",
        "seconds_per_step": {mode: round(value, 3) for mode, value in seconds.items()},
        "step_memory_mb": {mode: round(value) for mode, value in memory.items()},
        "trained_parameters": trained,
        "total_parameters": parameter_counts(network, "full")[1],
    }  # fmt: skip
    record(cost, "cost")
    sys.stdout.write(json.dumps(cost, indent=2) + "\n")


if __name__ == "__main__":
    main()
