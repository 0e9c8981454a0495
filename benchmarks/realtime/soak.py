"""Frames as fast as possible for a long time: memory and latency at the beginning and at the end.

    PYTHONPATH=benchmarks python -m realtime.soak FRAMES

A process of its own, so that its memory is that of one predictor; writes one JSON object to standard output.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pointata.system.memory import keep_freed_memory
from realtime.measure import latency, milliseconds
from realtime.networks import config, ready_predictor
from realtime.scan import scan_frames

#: Sizes of the clouds differ, as those of real sensors do.
_SIZES = range(3000, 5000, 200)
_EVERY = 1000


def measure_soak(frames: int) -> dict[str, Any]:
    """Run it in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "realtime.soak", str(frames)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the soak run ended with status {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def soak(frames: int) -> dict[str, Any]:
    """`frames` (a multiple of 1,000) small clouds through the tiny preset with 16 tokens, so that an hour fits."""
    predictor = ready_predictor(config("tiny", groups=16), points=256)
    clouds = [scan_frames(size, 1)[0] for size in _SIZES]
    taken: list[float] = []
    memory: dict[str, float] = {}
    for number in range(frames):
        frame = replace(clouds[number % len(clouds)], stamp_ns=(number + 1) * 100_000_000)
        taken.append(milliseconds(partial(predictor.step, frame)))
        if (number + 1) % _EVERY == 0:
            memory[str(number + 1)] = resident_mib()
    first, last = memory[str(min(_EVERY, frames))], list(memory.values())[-1]
    return {
        "frames": frames,
        "rss_mib": memory,
        "growth_percent": 100 * (last / first - 1),
        "first_thousand": latency(taken[:_EVERY]),
        "last_thousand": latency(taken[-_EVERY:]),
    }


def resident_mib() -> float:
    """Memory of this process that is in RAM, MiB (proc(5): the second field of statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    keep_freed_memory()
    sys.stdout.write(json.dumps(soak(int(sys.argv[1]))))
