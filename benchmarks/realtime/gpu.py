"""The network on a GPU: arithmetic, CUDA graph or not, one stream or sixteen, and agreement with the CPU."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from pointata.inference.cuda_graph import GraphedStep
from pointata.inference.engine import Engine, Scores
from pointata.inference.options import Precision
from pointata.model.state import Clip
from pointata.preprocessing.label_upsampling import upsample_labels
from pointata.preprocessing.point_ops.ops import DeviceOps, HostOps
from pointata.preprocessing.sampling import sample_frame, to_clip
from realtime.machine import processor
from realtime.measure import latency, milliseconds, times
from realtime.networks import ALL_HEADS, config, metadata, random_network
from realtime.scan import scan_frames

POINTS = 130_000
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
_WARM_UP = 10


def measure_gpu(presets: Sequence[str], repeats: int, device: str = "cuda") -> dict[str, Any]:
    """By preset and by "<precision>_<graph|eager>[_x16]": latencies of a step with upload and download; "device"."""
    chosen = torch.device(device)
    name_of_it = torch.cuda.get_device_name() if chosen.type == "cuda" else device
    result: dict[str, Any] = {"device": f"{name_of_it} ({processor()}, torch {torch.__version__})"}
    result["points"] = {str(count): _points(count, chosen, repeats) for count in (POINTS, 2 * POINTS)}
    for name in presets:
        frames = _sampled(name)
        reference = _scores(_engine(name, torch.device("cpu"), 1, "fp32"), frames)
        result[name] = {}
        for precision in PRECISIONS:
            for mode in ("eager", "graph"):
                engine = _engine(name, chosen, 1, precision)
                if mode == "graph":
                    engine.warm_up(frames)
                row = {"max_difference_to_cpu": _gap(reference, _scores(engine, frames)), "captured": captured(engine)}
                result[name][f"{precision}_{mode}"] = row | _latency(engine, frames, repeats)
            engine = _engine(name, chosen, 16, precision)
            engine.warm_up(frames)
            row = {"captured": captured(engine)}
            result[name][f"{precision}_graph_x16"] = row | _latency(engine, frames, repeats)
    return result


def _points(count: int, device: torch.device, repeats: int) -> dict[str, float]:
    """Medians, ms: picking points and spreading labels by the host and by the device, for a cloud of that size."""
    sampling = metadata(config("tiny")).sampling
    frame = scan_frames(count, 1)[0]
    sampled = sample_frame(frame, sampling)
    scores = {"semantic": np.random.default_rng(0).random((sampling.points, ALL_HEADS["semantic"]), dtype=np.float32)}
    ways: dict[str, Callable[[], Any]] = {
        "sample, host": partial(sample_frame, frame, sampling),
        "sample, device": partial(sample_frame, frame, sampling, ops=DeviceOps(device)),
        "restore, host": partial(upsample_labels, frame, sampled, scores, HostOps(2)),
        "restore, device": partial(upsample_labels, frame, sampled, scores, DeviceOps(device)),
    }
    return {name: float(np.median(times(way, min(repeats, 20)))) for name, way in ways.items()}


def captured(engine: Engine) -> bool:
    """Whether its steps are replays of a CUDA graph; where none can be captured, it goes on without."""
    return isinstance(engine._step, GraphedStep)


def _sampled(name: str) -> list[Clip]:
    sampling = metadata(config(name)).sampling
    return [to_clip([sample_frame(frame, sampling)]) for frame in scan_frames(POINTS, 8)]


def _engine(name: str, device: torch.device, streams: int, precision: Precision) -> Engine:
    """Eager until it is warmed up."""
    return Engine(random_network(config(name)), device, streams, precision)


def _scores(engine: Engine, frames: Sequence[Clip]) -> Scores:
    """Probabilities for the last of some frames."""
    engine.reset()
    for frame in frames:
        scores = engine.step(dict.fromkeys(range(engine.streams), frame))
    return scores[0]


def _gap(first: Scores, second: Scores) -> float:
    return float(np.max([np.abs(first[task] - second[task]).max() for task in first]))  # NaN stays NaN


def _latency(engine: Engine, frames: Sequence[Clip], repeats: int) -> dict[str, float]:
    """Of steps of all streams; the scores are on the CPU when a step returns."""
    taken = []
    for number in range(_WARM_UP + repeats):
        newest = dict.fromkeys(range(engine.streams), frames[number % len(frames)])
        taken.append(milliseconds(partial(engine.step, newest)))
    return latency(taken[_WARM_UP:]) | {"streams": engine.streams}
