"""What happens to points before and after the network, and how well the sampled points cover a cloud."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pointata.data.pointcloud2 import decode_cloud
from pointata.errors import TooFewPointsError
from pointata.frame import Frame
from pointata.geometry.neighbours import cpu_nearest
from pointata.inference.predictor import Predictor
from pointata.preprocessing.point_ops.cpu import exact_farthest_points, pick_indices, voxel_downsample
from pointata.preprocessing.sampling import SamplingConfig, in_range, sample_frame
from realtime.measure import medians, timed, times
from realtime.networks import config, metadata, ready_predictor
from realtime.scan import cloud_message, lidar_scan


def measure_preprocessing(counts: Sequence[int], repeats: int) -> dict[str, Any]:
    """Results by key: preprocess_restore_ms, preprocess_stages_ms and coverage, each by number of points."""
    predictor, sampling = ready_predictor(config("tiny")), metadata(config("tiny")).sampling
    result: dict[str, Any] = {"preprocess_restore_ms": {}, "preprocess_stages_ms": {}, "coverage": {}}
    for count in counts:
        runs = [_run(predictor, count, seed) for seed in range(repeats + 1)][1:]
        result["preprocess_restore_ms"][str(count)] = float(np.median([sum(run.values()) for run in runs]))
        frame = Frame.from_points(lidar_scan(count))
        result["preprocess_stages_ms"][str(count)] = medians(runs) | _inside_sampling(sampling, frame, repeats)
        result["coverage"][str(count)] = compare_coverage(frame, sampling)
    return result


def _run(predictor: Predictor, count: int, seed: int) -> dict[str, float]:
    """Decoding, sampling and restoring one scan, ms: the product's own path, less the network."""
    message = cloud_message(lidar_scan(count, seed), stamp_ns=10**8 * (seed + 1))
    frame, decode = timed(lambda: decode_cloud(message).frame())
    stages = predictor.step(frame).timings_ms
    return {"decode": decode, **{name: value for name, value in stages.items() if name != "model"}}


def _inside_sampling(sampling: SamplingConfig, frame: Frame, repeats: int) -> dict[str, float]:
    """What sampling consists of, ms."""
    sampled = sample_frame(frame, sampling)
    first, _ = voxel_downsample(frame.points, sampling.points, sampling.voxel_m)
    parts = {
        "sample: crop": lambda: in_range(frame.points, sampling.min_range_m, sampling.max_range_m),
        "sample: thin": lambda: voxel_downsample(frame.points, sampling.points, sampling.voxel_m),
        "sample: pick": lambda: pick_indices(frame.points, sampling.points, first, sampling.range_power),
        "sample: neighbours": lambda: cpu_nearest(sampled.points, sampled.points, sampling.point_neighbours),
    }
    return {name: float(np.median(times(part, repeats))) for name, part in parts.items()}


def measure_shapeless(count: int, most: int, repeats: int) -> dict[str, Any]:
    """Results by key: shapeless_ms, by kind of cloud: sampling, network and restoring of clouds without much shape, ms.

    Args:
        count: points of most clouds.
        most: points of the largest.
        repeats: clouds of each kind; their median counts.
    """
    predictor = Predictor.load("sim_room", device="cpu")
    scan = Frame.from_points(lidar_scan(count)).points
    rng = np.random.default_rng(0)
    clouds = {
        f"{count:,} of a scan": scan,
        f"{count:,}, of them 1,500 of a scan, the rest (0, 0, 0)": np.pad(
            scan[:: len(scan) // 1500][:1500], ((0, count - 1500), (0, 0))
        ),
        f"{count:,} on 500 places": scan[rng.choice(len(scan), 500)][rng.integers(0, 500, count)],
        f"{count:,} on one place": np.tile(scan[:1], (count, 1)),
        f"{most:,} on one place": np.tile(scan[:1], (most, 1)),
        f"{most:,} at random": rng.uniform(-20, 20, (most, 3)).astype(np.float32),
    }
    return {"shapeless_ms": {name: _answer(predictor, points, repeats) for name, points in clouds.items()}}


def _answer(predictor: Predictor, points: NDArray[np.float32], repeats: int) -> dict[str, Any]:
    """Median time of a cloud, ms, and whether it was answered."""
    frame = Frame.from_points(points)

    def step() -> bool:
        predictor.reset()
        try:
            predictor.step(frame)
        except TooFewPointsError:
            return False
        return True

    runs = [timed(step) for _ in range(repeats)]
    return {"ms": float(np.median([ms for _, ms in runs])), "answered": runs[0][0]}


def compare_coverage(frame: Frame, sampling: SamplingConfig) -> dict[str, dict[str, float]]:
    """Coverage of a scan by as many points picked in three ways."""
    picks = {
        "exact": exact_farthest_points(frame.points, sampling.points),
        "product": sample_frame(frame, sampling).index,
        "random": np.random.default_rng(0).choice(len(frame.points), sampling.points, replace=False),
    }
    return {name: coverage(frame.points, index) for name, index in picks.items()}


def coverage(points: NDArray[np.float32], index: NDArray[np.int64]) -> dict[str, float]:
    """Distances (m) from every point (N, 3) to the nearest of those picked by index."""
    distance, _ = cKDTree(points[index]).query(points)
    return {
        "mean_m": float(distance.mean()), "p99_m": float(np.percentile(distance, 99)), "max_m": float(distance.max()),
    }  # fmt: skip
