"""Ray casting against closed forms, and the faults of the simulated sensors against what they state."""

import sys

import numpy as np
import pytest

from pointata.classes import UNLABELLED
from pointata.data.simulator.sensors import DepthCamera, SpinningLidar, grazing_return
from pointata.data.simulator.shapes import Mesh, Solid, box, capsule, cylinder, ellipsoid, leaves, merge, rotation_z
from pointata.errors import InstallationError

pytest.importorskip("open3d", reason="the simulator casts its rays with open3d (pip install pointata[training])")
from pointata.data.simulator.raycast import Hits, RayScene, nearer, no_hits, rays_towards


def unit_rays(count: int, seed: int = 0) -> np.ndarray:
    rays = np.random.default_rng(seed).normal(size=(count, 3))
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def test_box_seen_from_inside_matches_the_slab_formula() -> None:
    low, high, origin = np.array([-2.0, -1.0, 0.0]), np.array([3.0, 4.0, 2.5]), np.array([0.5, 1.0, 1.2])
    rays = unit_rays(4000)
    hits = RayScene([Solid(box(low, high), 3)]).cast(origin, rays)
    to_wall = np.where(rays > 0, high - origin, low - origin) / rays
    np.testing.assert_allclose(hits.distance, to_wall.min(axis=1), atol=1e-4)
    np.testing.assert_allclose(hits.cosine, np.abs(rays[np.arange(4000), to_wall.argmin(axis=1)]), atol=1e-4)
    assert np.all(hits.label == 3)


def test_sphere_matches_the_quadratic_formula() -> None:
    centre, radius = np.array([4.0, 1.0, -0.5]), 1.5
    rays = unit_rays(20000, 1)
    scene = RayScene([Solid(ellipsoid([radius] * 3, segments=96, rings=95).moved(centre), 1)])
    hits = scene.cast(np.zeros(3), rays)
    along = rays @ centre
    inside = radius**2 - (centre @ centre - along**2)
    clear_hit, clear_miss = (inside > 0.1) & (along > 0), (inside < -0.1) | (along < 0)
    assert clear_hit.sum() > 200
    np.testing.assert_allclose(hits.distance[clear_hit], (along - np.sqrt(np.maximum(inside, 0)))[clear_hit], atol=0.01)
    assert np.all(np.isinf(hits.distance[clear_miss]))
    assert np.all(hits.label[clear_miss] == UNLABELLED)


def test_what_stands_behind_a_wall_is_never_seen() -> None:
    wall = Solid(box((2, -50, -50), (2.1, 50, 50)), 0)
    behind = Solid(ellipsoid([1, 1, 1]).moved((5, 0, 0)), 1)
    rays = unit_rays(5000, 2)
    together = RayScene([behind, wall]).cast(np.zeros(3), rays)
    assert not np.any(together.label == 1)
    aimed = rays_towards(rays, np.zeros(3), [behind.mesh.vertices])
    front, back = RayScene([wall]).cast(np.zeros(3), rays), RayScene([behind]).cast(np.zeros(3), rays[aimed])
    separately = nearer(front, back, aimed)
    np.testing.assert_array_equal(separately.label, together.label)


def test_nearer_of_two_scenes_equals_one_scene_with_both() -> None:
    solids = [Solid(box((3, -1, -1), (4, 1, 1)), 0), Solid(ellipsoid([0.5, 0.7, 1.2]).moved((2.2, 0.9, 0)), 1, 1.5)]
    rays = unit_rays(20000, 3)
    origin = np.array([0.1, -0.2, 0.05])
    together = RayScene(solids).cast(origin, rays)
    aimed = rays_towards(rays, origin, [solids[1].mesh.vertices])
    assert 0 < len(aimed) < len(rays) / 4
    parts = nearer(RayScene(solids[:1]).cast(origin, rays), RayScene(solids[1:]).cast(origin, rays[aimed]), aimed)
    for one, two in zip(together, parts, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(together.speed, np.where(together.label == 1, 1.5, 0.0))


def test_an_empty_scene_meets_nothing() -> None:
    hits = RayScene([]).cast(np.zeros(3), unit_rays(10))
    assert np.all(np.isinf(hits.distance))
    assert np.all(hits.label == UNLABELLED)


def test_missing_open3d_is_named_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(InstallationError, match=r'open3d, .*"\./pointata\[training\]"\), or open3d alone'):
        RayScene([])


def signed_volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_solids_are_closed_and_have_the_volumes_of_their_formulas() -> None:
    tapered = np.pi * 2.0 / 3 * (0.5**2 + 0.5 * 0.3 + 0.3**2) + 2 / 3 * np.pi * (0.5**3 + 0.3**3)
    cases = [
        (box((-1, 0, 2), (1, 3, 4)), 12.0, 1e-9),
        (cylinder(0.5, 2.0, 200), np.pi * 0.25 * 2, 1e-3),
        (ellipsoid([1.0, 2.0, 0.5], 100, 99), 4 / 3 * np.pi, 2e-3),
        (capsule(2.0, 0.5, 0.3, 100), tapered, 0.04),
    ]
    for mesh, volume, share in cases:
        edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert np.all(np.unique(edges, axis=0, return_counts=True)[1] == 2)
        assert abs(abs(signed_volume(mesh)) / volume - 1) < share


def test_merging_and_moving_keep_every_triangle() -> None:
    one, two = box((0, 0, 0), (1, 1, 1)), leaves(np.random.default_rng(0), 20, (1, 1, 2), 0.3)
    both = merge([one, two.moved((5, 0, 0), np.pi / 2)])
    assert len(both.faces) == 12 + 20
    np.testing.assert_allclose(both.vertices[8:], two.vertices @ rotation_z(np.pi / 2).T + [5, 0, 0])


def plain_hits(distance: np.ndarray) -> Hits:
    return no_hits(len(distance))._replace(
        distance=distance.astype(np.float32), cosine=np.ones(len(distance), dtype=np.float32)
    )


@pytest.mark.parametrize("depth", [1.0, 3.0, 5.0])
def test_depth_noise_and_losses_are_as_stated(depth: float) -> None:
    camera = DepthCamera(200, 150)
    rays = camera.directions()
    points, kept = camera.measure(plain_hits(depth / rays[:, 2]), rays, np.random.default_rng(0))
    error = points[:, 2] - depth
    # Rounding in 1/z adds the deviation of a uniform step of z^2 * step.
    expected = np.hypot(camera.noise[0] + camera.noise[1] * depth**2, camera.step * depth**2 / np.sqrt(12))
    assert abs(error.mean()) < 0.1 * expected
    assert abs(error.std() / expected - 1) < 0.05
    assert abs(1 - len(kept) / len(rays) - camera.dropout) < 0.003
    inverse = 1.0 / points[:, 2] / camera.step
    np.testing.assert_allclose(inverse, np.round(inverse), atol=1e-6)
    np.testing.assert_allclose(points / np.linalg.norm(points, axis=1, keepdims=True), rays[kept], atol=1e-9)


def test_depth_camera_has_its_field_of_view_and_range() -> None:
    camera = DepthCamera(160, 120)
    image = camera.directions().reshape(120, 160, 3)
    half = np.arctan2(image[60, -1, 0], image[60, -1, 2])
    assert abs(np.rad2deg(half) - 35) < 0.3
    assert image[0, 80, 1] < 0 < image[-1, 80, 1]
    rays = camera.directions()
    for hits in (plain_hits(0.3 / rays[:, 2]), plain_hits(6.5 / rays[:, 2]), no_hits(len(rays))):
        assert len(camera.measure(hits, rays, np.random.default_rng(0))[0]) == 0


def test_depth_edges_lose_points() -> None:
    camera = DepthCamera(100, 100)
    rays = camera.directions()
    depth = np.where(np.arange(10000) % 100 < 50, 2.0, 3.0)
    kept = camera.measure(plain_hits(depth / rays[:, 2]), rays, np.random.default_rng(0))[1] % 100
    beside = np.isin(kept, (49, 50)).sum() / 200
    assert abs(beside - (1 - camera.edge_dropout)) < 0.12
    assert np.isin(kept, (20, 80)).sum() / 200 > 0.95


def test_lidar_noise_and_losses_are_as_stated() -> None:
    lidar = SpinningLidar(32, 1024)
    rays = lidar.directions()
    for distance, lost in ((20.0, 0.01 + 0.3 / 16), (60.0, 0.01 + 0.3 * 9 / 16)):
        points, kept = lidar.measure(plain_hits(np.full(len(rays), distance)), rays, np.random.default_rng(1))
        error = np.linalg.norm(points, axis=1) - distance
        assert abs(error.std() / lidar.noise - 1) < 0.03
        assert abs(error.mean()) < 0.001
        assert abs(1 - len(kept) / len(rays) - lost) < 0.01
    assert len(lidar.measure(plain_hits(np.full(len(rays), 81.0)), rays, np.random.default_rng(1))[1]) == 0


def test_lidar_beams_cover_the_turn() -> None:
    rays = SpinningLidar(32, 1024).directions()
    elevation = np.rad2deg(np.arcsin(rays[:, 2]))
    assert np.isclose(elevation.min(), -25)
    assert np.isclose(elevation.max(), 3)
    azimuth = np.rad2deg(np.arctan2(rays[:, 1], rays[:, 0])).reshape(1024, 32)
    assert np.ptp(azimuth[1:], axis=1).max() < 1e-9
    np.testing.assert_allclose(np.diff(azimuth[1:, 0]), -360 / 1024)


def test_grazing_surfaces_return_less() -> None:
    share = grazing_return(np.array([1.0, 0.2, 0.1, 0.0], dtype=np.float32))
    np.testing.assert_allclose(share, [1, 1, 0.5, 0], atol=1e-6)
