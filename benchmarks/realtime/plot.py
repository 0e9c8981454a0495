"""The picture of docs/performance.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw(path: Path, results: Mapping[str, Any]) -> None:
    """Left: time for a new frame by window, recomputing and streaming. Right: the node's latencies, sorted."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for colour, (name, windows) in zip(("C0", "C1", "C2"), results["stream_speedup_details"].items(), strict=False):
        frames = [int(window) for window in windows]
        for key, style, what in (("recompute_ms", "o--", "recomputed"), ("step_ms", "o-", "streaming")):
            left.plot(frames, [d[key] for d in windows.values()], style, color=colour, label=f"{name}, {what}")
    left.set(xlabel="window, frames", ylabel="network, ms per new frame", yscale="log", xticks=frames)
    left.legend(fontsize=7)
    for colour, (name, case) in zip(("C2", "C1", "C0"), results.get("node", {}).items(), strict=False):
        values = np.sort(case["latencies_ms"])
        right.plot(values, np.arange(1, len(values) + 1) / len(values), color=colour, label=name)
        right.axvline(1e3 / case["hz"], color=colour, linestyle=":", label=f"period of {case['hz']} Hz")
    right.set(xlabel="publish to label through the node, ms", ylabel="share of frames", ylim=(0, 1.02))
    if right.lines:
        right.legend(fontsize=7)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
    plt.close(figure)
