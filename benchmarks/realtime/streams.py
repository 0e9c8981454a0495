"""Several sensors through one network: the cost of a frame when 1, 4 or 16 streams are answered together."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from realtime.measure import timed
from realtime.networks import config, ready_predictor
from realtime.scan import scan_frames

POINTS = 20_000


def measure_streams(name: str, counts: Sequence[int], repeats: int) -> dict[str, dict[str, Any]]:
    """By number of streams: ms a frame of `predict_batch`, labels on all points included, and of the network alone."""
    network = config(name)
    frames = scan_frames(POINTS, repeats + 1)
    result: dict[str, dict[str, Any]] = {}
    for count in counts:
        predictor = ready_predictor(network, streams=count)
        taken, model = [], []
        for frame in frames:
            prepared = dict.fromkeys(range(count), predictor.prepare(frame))
            answers, spent = timed(partial(predictor.predict_batch, prepared))
            taken.append(spent)
            model.append(answers[0].timings_ms["model"])
        result[str(count)] = {
            "ms_per_frame": float(np.median(taken[1:])) / count,
            "model_ms_per_frame": float(np.median(model[1:])) / count,
            "preset": name,
        }
    return result
