"""A step of the network against recomputing its whole window, as networks without a memory must for each frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pointata.inference.traced_step import TracedStep
from pointata.model.state import Clip, StreamState
from pointata.preprocessing.sampling import sample_frame, to_clip
from realtime.measure import in_both_orders
from realtime.networks import ALL_HEADS, config, metadata, random_network
from realtime.scan import scan_frames

#: Largest difference between the two results, in logits, that is rounding and no error.
TOLERANCE = 1e-4


def measure_streaming(
    presets: Sequence[str], windows: Sequence[int], pairs: int, heads: Mapping[str, int] = ALL_HEADS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Speed-ups by preset and window, and beside each the times and the difference of the two results."""
    speedups: dict[str, Any] = {}
    details: dict[str, Any] = {}
    for name in presets:
        speedups[name], details[name] = {}, {}
        for window in windows:
            detail = compare(name, window, pairs, heads)
            speedups[name][str(window)] = detail.pop("ratio")
            details[name][str(window)] = detail
    return speedups, details


def compare(name: str, window: int, pairs: int, heads: Mapping[str, int]) -> dict[str, float]:
    """One preset and window: medians of recompute time, step time and their ratio, pair by pair."""
    network = config(name, window, heads=heads)
    model, clip = random_network(network), sampled_clip(window, metadata(network).sampling)
    fresh = model.initial_state(1)
    recorded = TracedStep(model, clip.frames(0, 1), fresh)  # as deployed
    results: dict[str, Mapping[str, torch.Tensor]] = {}

    def recompute() -> None:
        with torch.inference_mode():
            results["recompute"] = model(clip)

    def stream() -> None:
        with torch.inference_mode():
            results["stream"] = step_through(recorded, clip, fresh)

    recomputed, streamed = in_both_orders(recompute, stream, pairs)
    step = np.array(streamed) / window
    newest = {task: results["recompute"][task][:, -1] for task in heads}
    with torch.inference_mode():
        alone = model(clip.frames(window - 1, window))
    return {
        "ratio": float(np.median(np.array(recomputed) / step)),
        "recompute_ms": float(np.median(recomputed)),
        "step_ms": float(np.median(step)),
        # by numpy: a NaN stays one
        "max_difference": float(np.max([_gap(newest[task], results["stream"][task]) for task in heads])),
        # what forgetting would do to the task that the past changes least: the difference must be small beside it
        "effect_of_past": min(_gap(newest[task], alone[task]) for task in heads),
        "pairs": pairs,
    }


def _gap(newest: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference between logits for the newest frame and the last of other frames."""
    return float((newest - other[:, -1]).abs().max())


def step_through(step: TracedStep, clip: Clip, state: StreamState) -> Mapping[str, torch.Tensor]:
    """The frames of a clip one by one; the outputs of the last."""
    for t in range(clip.points.shape[1]):
        outputs, state = step(clip.frames(t, t + 1), state)
    return outputs


def sampled_clip(frames: int, sampling: Any) -> Clip:
    """Scans of 20,000 points, sampled; sampling is the same work either way and is not part of the comparison."""
    return to_clip([sample_frame(frame, sampling) for frame in scan_frames(20_000, frames)])
