"""Latency stage by stage for one new frame: message, sampling, network, labels on all points, message."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from pointata.data.pointcloud2 import DecodedCloud, decode_cloud
from pointata.frame import Frame
from pointata.inference.predictor import Predictor
from realtime.measure import medians, milliseconds, timed
from realtime.networks import config, ready_predictor
from realtime.scan import cloud_message, lidar_scan

#: Frames of each cell before those that count.
_WARM_UP = 2


def rows(
    presets: Sequence[str], counts: Sequence[int], tokens: Sequence[int]
) -> Iterator[tuple[str, int, int, list[int]]]:
    """(preset, window, tokens, points): window 24 in full, and one cell each at 8 and 16, which cost the same."""
    for name in presets:
        for groups in tokens:
            yield name, 24, groups, list(counts)
        for window in (8, 16):
            yield name, window, tokens[0], [counts[len(counts) // 2]]


def measure_stages(
    presets: Sequence[str], counts: Sequence[int], tokens: Sequence[int], repeats: int
) -> dict[str, Any]:
    """Medians in ms: {preset: {window: {points: {tokens: {stage: ms}}}}}."""
    messages = {
        count: [cloud_message(lidar_scan(count, seed), 10**8 * (seed + 1)) for seed in range(repeats + _WARM_UP)]
        for count in counts
    }
    result: dict[str, Any] = {}
    for name, window, groups, sizes in rows(presets, counts, tokens):
        predictor = ready_predictor(config(name, window, groups))
        for count in sizes:
            predictor.reset()
            runs = [predict(predictor, message) for message in messages[count]][_WARM_UP:]
            by_points = result.setdefault(name, {}).setdefault(str(window), {}).setdefault(str(count), {})
            by_points[str(groups)] = medians([run | {"total": sum(run.values())} for run in runs])
    return result


def predict(predictor: Predictor, message: SimpleNamespace) -> dict[str, float]:
    """One frame from message to labelled message, ms per stage."""
    # ROS is needed here alone: it must not keep the rest from running without it
    from ros_pointata.io.cloud import segmentation_cloud

    (cloud, frame), decode = timed(lambda: _decode(message))
    prediction = predictor.step(frame)
    semantic = prediction.semantic
    assert semantic is not None
    pack = milliseconds(lambda: segmentation_cloud(cloud, semantic.labels, semantic.scores))
    return {"decode": decode, **prediction.timings_ms, "pack": pack}


def _decode(message: SimpleNamespace) -> tuple[DecodedCloud, Frame]:
    cloud = decode_cloud(message)
    return cloud, cloud.frame()
