"""Sampling and label restoring for GPUs: against the definitions, the host's functions and brute force.

All of it runs on the CPU too, where these tests prove it; with a GPU they run there as well.
"""

import logging
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pointata import geometry
from pointata.geometry.neighbours import cpu_nearest
from pointata.preprocessing.point_ops import cuda as on_device
from pointata.preprocessing.point_ops.cpu import exact_farthest_points, sample_indices, warp_by_range
from pointata.preprocessing.point_ops.limits import MOST_CANDIDATES
from pointata.preprocessing.point_ops.ops import DeviceOps, HostOps, point_ops

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="triton is not installed (torch's CUDA builds bring it)"
)
CPU = torch.device("cpu")
on_every_device = pytest.mark.parametrize(
    "device", [CPU, pytest.param(torch.device("cuda"), marks=needs_gpu)], ids=["cpu", "cuda"]
)

Cloud = NDArray[np.float32]


def cloud(count: int, seed: int = 0, spread: float = 10.0) -> Cloud:
    return np.random.default_rng(seed).normal(0, spread, (count, 3)).astype(np.float32)


def lattice(count: int, seed: int = 0, spread: float = 3.0) -> Cloud:
    """Coordinates in 1/32 m: squared distances are exact in float32, and many are equal."""
    return (np.round(cloud(count, seed, spread) * 32) / 32).astype(np.float32)


def street(count: int, seed: int = 0) -> Cloud:
    """Ground and two walls as a LiDAR sees them: dense near the sensor, thin far away."""
    rng = np.random.default_rng(seed)
    reach, angle = np.exp(rng.uniform(0.5, 4.2, count)), rng.uniform(0, 2 * np.pi, count)
    x, y = reach * np.cos(angle), reach * np.sin(angle)
    z = np.where(np.abs(y) > 8, rng.uniform(-1.8, 6, count), -1.8)
    return np.stack([x, np.clip(y, -8, 8), z], axis=1).astype(np.float32)


def first_of_voxels(points: Cloud, voxel_m: float) -> list[int]:
    """Index of the first point in every occupied voxel, ascending."""
    cells = np.floor(points / np.float32(voxel_m)).astype(np.int64)
    return sorted(np.unique(cells, axis=0, return_index=True)[1].tolist())


def voxel_downsample(points: torch.Tensor, voxel_m: float, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
    return on_device._first_of_voxels(*on_device._spread(points, points.new_full((), voxel_m)), limit)


def coverage(points: Cloud, picks: NDArray[np.int64]) -> float:
    """Distance of the point farthest from all picks."""
    return float(torch.cdist(torch.from_numpy(points), torch.from_numpy(points[picks])).min(dim=1).values.max())


def indices(
    points: Cloud, count: int, voxel_m: float = 0.0, range_power: float = 0.0, device: torch.device = CPU
) -> NDArray[np.int64]:
    return on_device.sample_indices_on_device(points, count, voxel_m, range_power, device)[0]


CLOUDS = {
    "many ties": (lattice(3000, spread=0.5), 300),
    "wide": (lattice(5000), 200),
    "duplicates": (np.repeat(lattice(20), 50, axis=0), 100),
    "one place": (np.ones((500, 3), dtype=np.float32), 64),
    "all points": (lattice(150), 150),
    "one point": (lattice(1), 1),
}


@on_every_device
@pytest.mark.parametrize("name", CLOUDS)
def test_farthest_points_pick_for_pick(name: str, device: torch.device) -> None:
    points, count = CLOUDS[name]
    picks = on_device.farthest_points(torch.from_numpy(points).to(device), count)
    assert picks.dtype == torch.int64
    assert picks.tolist() == exact_farthest_points(points, count).tolist()


@on_every_device
def test_farthest_points_by_the_definition(device: torch.device) -> None:
    points = cloud(3000)
    picks = on_device.farthest_points(torch.from_numpy(points).to(device), 200).cpu().numpy()
    assert picks[0] == 0
    assert len(set(picks.tolist())) == 200
    exact = points.astype(np.float64)
    distance = np.linalg.norm(exact[:, None] - exact[picks][None], axis=2)
    for i in range(1, 200):
        nearest_pick = distance[:, :i].min(axis=1)
        assert nearest_pick[picks[i]] == pytest.approx(nearest_pick.max(), rel=1e-5)


def test_farthest_points_of_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot pick 4 of 3"):
        on_device.farthest_points(torch.zeros(3, 3), 4)


@needs_triton
def test_kernel_in_the_interpreter_of_triton() -> None:
    code = f"""
import numpy as np, torch
from pointata.preprocessing.point_ops import triton_fps
from pointata.preprocessing.point_ops.cpu import exact_farthest_points
rng = np.random.default_rng(0)
for size, count in ((1, 1), (70, 70), (3000, 100), ({MOST_CANDIDATES}, 20)):
    points = (np.round(rng.normal(0, 1, (size, 3)) * 32) / 32).astype(np.float32)
    print(*triton_fps.farthest_points(torch.from_numpy(points), count).tolist())
    print(*exact_farthest_points(points, count).tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert lines[0::2] == lines[1::2]


@needs_gpu
@needs_triton
def test_kernel_is_used_on_a_gpu_and_agrees_with_the_loop() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    one_launch = on_device._triton_farthest_points(device)
    assert one_launch is not None
    points = torch.from_numpy(cloud(MOST_CANDIDATES)).to(device)
    assert torch.equal(one_launch(points, 2048), on_device._looped_farthest_points(points, 2048))


def test_without_triton_the_log_says_so_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delattr(geometry, "triton_fps", raising=False)
    monkeypatch.setitem(sys.modules, "pointata.preprocessing.point_ops.triton_fps", None)
    device = torch.device("cuda", 99)
    with caplog.at_level(logging.WARNING):
        assert on_device._triton_farthest_points(device) is None
        assert on_device._triton_farthest_points(device) is None
    assert len(caplog.records) == 1
    assert "by a loop" in caplog.text


@on_every_device
def test_thinning_keeps_the_first_point_of_every_voxel(device: torch.device) -> None:
    points = np.concatenate([cloud(4000, spread=2.0), cloud(4000, spread=2.0)[::-1]])
    expected = first_of_voxels(points, 0.5)
    limit = len(expected) + 1000
    index, occupied = voxel_downsample(torch.from_numpy(points).to(device), 0.5, limit)
    assert index.tolist() == np.resize(expected, limit).tolist()
    assert int(occupied) == len(expected)


@pytest.mark.parametrize("size", [1, 7])
def test_thinning_of_few_points_repeats_them(size: int) -> None:
    index, occupied = voxel_downsample(torch.from_numpy(cloud(size)), 1e-3, 20)
    assert index.tolist() == [i % size for i in range(20)]
    assert int(occupied) == size


@on_every_device
def test_thinning_to_a_limit_keeps_every_coarser_voxel(device: torch.device) -> None:
    points, limit = street(30000), 4000
    index, occupied = voxel_downsample(torch.from_numpy(points).to(device), 0.1, limit)
    kept = index.tolist()
    assert int(occupied) == limit
    assert kept == sorted(set(kept))
    assert set(kept) <= set(first_of_voxels(points, 0.1))
    fine = np.floor(points / np.float32(0.1)).astype(np.int64)
    coarser = next(fine >> level for level in range(1, 20) if len(np.unique(fine >> level, axis=0)) <= limit)
    assert len(np.unique(coarser, axis=0)) > limit / 8
    assert len(np.unique(coarser[kept], axis=0)) == len(np.unique(coarser, axis=0))


def test_thinning_with_a_point_far_away() -> None:
    points = np.concatenate([cloud(100), np.full((1, 3), 3e8, dtype=np.float32)])
    index, _ = voxel_downsample(torch.from_numpy(points), 1e-3, 101)
    assert 100 in index.tolist()


@on_every_device
@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 2000, MOST_CANDIDATES + 1])
def test_samples_of_any_size_have_the_asked_number(size: int, device: torch.device) -> None:
    picks = indices(cloud(size), 256, 0.2, 0.0, device)
    assert picks.shape == (256,)
    assert picks.dtype == np.int64
    assert len(np.unique(picks)) == min(size, 256)


@pytest.mark.parametrize("size", [2000, 20000])
def test_samples_of_duplicates_are_distinct(size: int) -> None:
    assert len(set(indices(np.ones((size, 3), dtype=np.float32), 64, 0.2).tolist())) == 64
    points = np.repeat(cloud(20), size // 20, axis=0)
    picks = indices(points, 64)
    assert len(set(picks.tolist())) == 64
    assert len(np.unique(points[picks[:20]], axis=0)) == 20  # all distinct places first


def test_too_few_points_for_the_voxels_are_not_thinned_away() -> None:
    points = cloud(600, spread=0.01)
    assert len(np.unique(indices(points, 500, 1.0))) == 500


@on_every_device
@pytest.mark.parametrize(
    ("voxel_m", "range_power", "farther"),
    [(0.5, 0.0, 1.05), (0.0, 0.0, 1.15), (0.02, 1.0, 1.15)],
    ids=["all candidates", "fewer candidates", "fewer candidates, near ones favoured"],
)
def test_samples_cover_like_those_of_the_host(
    voxel_m: float, range_power: float, farther: float, device: torch.device
) -> None:
    points, count = street(40000), 256
    seen = warp_by_range(points, range_power)
    host = coverage(seen, sample_indices(points, count, voxel_m, range_power))
    here = coverage(seen, indices(points, count, voxel_m, range_power, device))
    assert here < farther * host


@on_every_device
def test_owners_are_the_first_of_their_voxels(device: torch.device) -> None:
    points = np.concatenate([cloud(3000, spread=2.0), cloud(3000, spread=2.0)[::-1]])
    cells = np.floor(points / np.float32(0.5)).astype(np.int64)
    _, first, cell = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    _, owner = on_device.sample_indices_on_device(points, 64, 0.5, 0.0, device)
    assert owner.tolist() == first[cell.reshape(-1)].tolist()
    _, owner = on_device.sample_indices_on_device(points, len(first) + 1, 0.5, 0.0, device)  # too few voxels
    assert owner.tolist() == list(range(len(points)))


def test_no_step_asks_the_device_for_a_value() -> None:
    """Tensors on the meta device have no values: whatever needs one raises."""
    points = torch.empty(40000, 3, device="meta")
    index, occupied = voxel_downsample(points, 0.1, 5000)
    assert index.shape == (5000,)
    with pytest.raises(RuntimeError):
        int(occupied)
    assert [tensor.shape for tensor in on_device.sample(points, 64, 0.1, 1.0)] == [(64,), (40000,)]
    assert on_device.nearest_on_device(points[:100], points[:2], 3)[1].shape == (100, 3)


@needs_gpu
def test_sampling_in_a_cuda_graph() -> None:
    first, second = (torch.from_numpy(street(60000, seed)).cuda() for seed in (1, 2))
    expected = [on_device.sample(points, 256, 0.1)[0].tolist() for points in (first, second)]
    points, graph = first.clone(), torch.cuda.CUDAGraph()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.graph(graph):
            picks, _ = on_device.sample(points, 256, 0.1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for source, wanted in zip((first, second), expected, strict=True):
        points.copy_(source)
        graph.replay()
        assert picks.tolist() == wanted


@on_every_device
@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("supports", [1, 2, 700])
def test_nearest_against_the_tree(supports: int, offset: float, device: torch.device) -> None:
    query, support = cloud(500, 1) + np.float32(offset), cloud(supports, 2) + np.float32(offset)
    found = on_device.nearest_on_device(torch.from_numpy(query).to(device), torch.from_numpy(support).to(device), 3)
    distance, index = (tensor.cpu().numpy() for tensor in found)
    expected_distance, expected_index = cpu_nearest(query, support, 3)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-5)
    differs = index != expected_index  # float32 is 1/128 m at 1e5 m, where many are equally far
    assert offset or not differs.any()
    exact = np.linalg.norm(query[:, None].astype(np.float64) - support[index], axis=2)
    np.testing.assert_allclose(exact, expected_distance, rtol=1e-5)


def test_nearest_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    query, support = torch.from_numpy(cloud(1000, 1)), torch.from_numpy(cloud(300, 2))
    whole = on_device.nearest_on_device(query, support, 4)
    monkeypatch.setattr(on_device, "_MOST_DISTANCES", 300 * 64)
    parts = on_device.nearest_on_device(query, support, 4)
    assert torch.equal(whole[0], parts[0])
    assert torch.equal(whole[1], parts[1])


@on_every_device
def test_a_device_thins_and_spreads_as_the_host(device: torch.device) -> None:
    """Picks differ; voxels, and the labels that three given points spread, do not."""
    host, other = point_ops(CPU, 1), DeviceOps(device)
    assert isinstance(host, HostOps)
    assert isinstance(point_ops(torch.device("cuda"), 1), DeviceOps)
    points, support = cloud(3000), cloud(200, 4)
    scores = np.random.default_rng(5).dirichlet(np.ones(6), 200).astype(np.float32)
    thinned = [ops.sample(points, 64, 5.0, 0.5)[1:] for ops in (other, host)]
    assert thinned[0][1] is not None
    assert thinned[1][1] is not None
    np.testing.assert_array_equal(thinned[0][0], thinned[1][0])
    np.testing.assert_array_equal(thinned[0][1], thinned[1][1])
    (labels, values), (expected, likewise) = (ops.spread(points, support, [scores])[0] for ops in (other, host))
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(values, likewise, rtol=1e-4)


@on_every_device
def test_spread_scores_against_brute_force(device: torch.device) -> None:
    query, support = cloud(2000, 3), cloud(200, 4)
    scores = np.random.default_rng(5).dirichlet(np.ones(6), 200).astype(np.float32)
    labels, values = on_device.spread_on_device(query, support, scores, device)
    distance = np.linalg.norm(query[:, None].astype(np.float64) - support[None], axis=2)
    three = np.argsort(distance, axis=1)[:, :3]
    weight = 1 / (np.take_along_axis(distance, three, axis=1) + 1e-6)
    expected = (weight[..., None] * scores[three]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(values, expected.max(axis=1), rtol=1e-4)
    ranked = np.sort(expected, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-4
    assert clear.mean() > 0.99
    assert (labels == expected.argmax(axis=1))[clear].all()
    assert labels.dtype == np.uint8
