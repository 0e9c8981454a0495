"""Sampling: fpsample against the definition of farthest point sampling, and the traps of odd clouds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pointata import DataError, Frame
from pointata.errors import ConfigError
from pointata.geometry.places import first_of_same
from pointata.geometry.rigid import yaw
from pointata.preprocessing.point_ops.cpu import (
    exact_farthest_points,
    farthest_points,
    first_in_voxel,
    sample_indices,
)
from pointata.preprocessing.sampling import SamplingConfig, sample_frame


def cloud(count: int, seed: int = 0, spread: float = 10.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, spread, (count, 3)).astype(np.float32)


def coverage(points: NDArray[np.float32], picks: NDArray[np.int64]) -> float:
    """Distance of the point farthest from all picks, by brute force."""
    return float(np.linalg.norm(points[:, None] - points[picks][None], axis=2).min(axis=1).max())


def test_exact_farthest_points_by_hand() -> None:
    line = np.array([[0, 0, 0], [1, 0, 0], [10, 0, 0], [4, 0, 0]], dtype=np.float32)
    assert exact_farthest_points(line, 4).tolist() == [0, 2, 3, 1]


def test_bucket_picks_are_farthest_points() -> None:
    points = cloud(3000)
    picks = farthest_points(points, 200)
    assert len(set(picks.tolist())) == 200
    for i in range(1, 200, 13):  # each pick is the farthest from those before it
        distance = np.linalg.norm(points[:, None] - points[picks[:i]][None], axis=2).min(axis=1)
        assert distance[picks[i]] == pytest.approx(distance.max(), rel=1e-5)


def test_bucket_covers_like_the_exact_algorithm() -> None:
    points = cloud(5000, seed=3)
    ratio = coverage(points, farthest_points(points, 300)) / coverage(points, exact_farthest_points(points, 300))
    assert 0.9 < ratio < 1.1


def test_duplicates_give_distinct_indices() -> None:
    points = np.repeat(cloud(20), 100, axis=0)
    picks = farthest_points(points, 50)
    assert len(set(picks.tolist())) == 50
    assert len(np.unique(points[picks[:20]], axis=0)) == 20  # all distinct places first
    assert len(set(farthest_points(np.ones((2000, 3), dtype=np.float32), 64).tolist())) == 64


@pytest.mark.parametrize("count", [1, 5, 16, 511, 513, 2048])
def test_any_size_gives_the_asked_number(count: int) -> None:
    picks = sample_indices(cloud(count), 1024, voxel_m=0.2)
    assert picks.shape == (1024,)
    assert len(np.unique(picks)) == min(count, 1024)


def test_voxels_against_a_dictionary() -> None:
    points = cloud(4000, spread=2.0)
    first: dict[tuple[int, ...], int] = {}
    expected = [first.setdefault(tuple(np.floor(point / 0.5).astype(int)), i) for i, point in enumerate(points)]
    assert first_in_voxel(points, 0.5).tolist() == expected


def test_voxels_with_a_point_far_away() -> None:
    points = np.concatenate([cloud(100), np.full((1, 3), 3e8, dtype=np.float32)])
    assert first_in_voxel(points, 1e-3).tolist() == list(range(101))
    assert first_in_voxel(np.repeat(points, 2, axis=0), 1e-3).tolist() == [2 * (i // 2) for i in range(202)]
    assert first_in_voxel(points[:0], 0.1).shape == (0,)


@pytest.mark.parametrize("values", [3, 40_000, 2**62])
def test_first_of_same_against_sorting(values: int) -> None:
    """Also where many keys fight for a place: multiples of the inverse of the hash's factor all start in one."""
    rng = np.random.default_rng(0)
    inverse = pow(0x9E3779B97F4A7C15, -1, 2**64)
    crowded = np.array([inverse * int(i) % 2**64 for i in rng.integers(0, 500, 3000)], dtype=np.uint64).view(np.int64)
    keys = np.concatenate([rng.integers(-values, values, 50_000), crowded])
    _, first, inverse_of_unique = np.unique(keys, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(first_of_same(keys), first[inverse_of_unique])


def test_too_few_points_for_the_voxels_are_not_thinned_away() -> None:
    assert len(np.unique(sample_indices(cloud(600, spread=0.01), 500, voxel_m=1.0))) == 500


def test_near_things_get_more_points() -> None:
    points = np.concatenate([cloud(3000, 1, 0.3), cloud(3000, 2, 3.0)])
    points[:3000, 0] += 1.5
    points[3000:, 0] += 12
    even, near = (np.mean(sample_indices(points, 256, range_power=p) < 3000) for p in (0.0, 1.5))
    assert near > 2 * even


def test_frame_is_cropped_rotated_and_scaled() -> None:
    points = np.array([[0.1, 0, 0], [2, 0, 0], [0, 4, 0], [60, 0, 0]], dtype=np.float32)
    pose = yaw(np.pi / 2)
    pose[:3, 3] = (100, 200, 300)
    frame = Frame.from_points(points, T_world_sensor=pose, stamp_ns=1_500_000_000)
    sampled = sample_frame(
        frame, SamplingConfig(points=2, scale_m=2, min_range_m=1, max_range_m=50, point_neighbours=2)
    )
    assert sampled.used.tolist() == [1, 2]
    by_source = dict(zip(sampled.index.tolist(), sampled.points.tolist(), strict=True))
    assert by_source[1] == pytest.approx([0, 1, 0], abs=1e-6)
    assert by_source[2] == pytest.approx([-2, 0, 0], abs=1e-6)
    assert sampled.origin.tolist() == [50, 100, 150]
    assert sampled.stamp_s == 1.5
    assert sampled.neighbours.tolist() == [[0, 1], [1, 0]]


def test_empty_frame_and_missing_feature_are_sentences() -> None:
    with pytest.raises(DataError, match="no finite point within range"):
        sample_frame(Frame.from_points(np.full((5, 3), np.nan)), SamplingConfig())
    frame = Frame.from_points(cloud(10), features={"intensity": np.ones(10)})
    with pytest.raises(DataError, match=r"doppler.*intensity"):
        sample_frame(frame, SamplingConfig(), ["doppler"])


@pytest.mark.parametrize(
    "wrong", [{"points": 0}, {"scale_m": 0}, {"range_power": 3}, {"min_range_m": 5, "max_range_m": 2}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SamplingConfig(**wrong)  # type: ignore[arg-type]
