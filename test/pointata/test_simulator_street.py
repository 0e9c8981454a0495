"""The simulated street: what its frames promise, checked against the geometry behind them."""

from typing import Any, Literal

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pointata.errors import ConfigError
from pointata.frame import LabelledFrame

pytest.importorskip("open3d", reason="the simulator casts its rays with open3d (pip install pointata[training])")
from pointata.data.simulator import STREET_CLASSES, StreetSimulator
from pointata.data.simulator.splits import RANGES
from pointata.data.simulator.town import BUILDING, CAR, KERB, PERSON, POLE, ROAD, SIDEWALK, Road


def in_world(labelled: LabelledFrame) -> np.ndarray:
    pose = labelled.frame.T_world_sensor
    return labelled.frame.points @ pose[:3, :3].T + pose[:3, 3]


def test_a_recording_is_the_same_each_time_and_differs_by_seed_and_split() -> None:
    street = StreetSimulator(3, frames=3)
    for first, second, third in zip(street, street, StreetSimulator(3, frames=3), strict=True):
        for other in (second, third):
            np.testing.assert_array_equal(first.frame.points, other.frame.points)
            np.testing.assert_array_equal(first.labels, other.labels)
    others = [StreetSimulator(4, frames=3), StreetSimulator(3, "test", frames=3)]
    assert len({s._road.width for s in (street, *others)}) == 3
    assert len({s._speed for s in (street, *others)}) == 3
    assert RANGES["test"].street_speed[1] > RANGES["train"].street_speed[1]


def test_frames_carry_what_the_interface_says() -> None:
    street = StreetSimulator(1, frames=5, beams=16, azimuth_steps=512)
    frames = list(street)
    assert len(street) == len(frames) == 5
    assert street.classes is STREET_CLASSES
    assert [f.frame.stamp_ns for f in frames] == [100_000_000 * i for i in range(5)]
    for labelled in frames:
        frame = labelled.frame
        assert frame.frame_id == "lidar"
        assert labelled.action is None
        assert labelled.labels is not None
        assert labelled.labels.dtype == np.uint8
        assert labelled.labels.max() < len(STREET_CLASSES)
        assert 0.6 * 16 * 512 < len(frame.points) <= 16 * 512
        distance = np.linalg.norm(frame.points, axis=1)
        assert distance.min() > 0.9
        assert distance.max() < 80.2
        elevation = np.rad2deg(np.arcsin(frame.points[:, 2] / distance))
        assert np.unique(np.round(elevation, 3)).size == 16
        rotation = frame.T_world_sensor[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert rotation[2, 2] > 0.99


def test_the_vehicle_drives_forward_at_its_speed() -> None:
    street = StreetSimulator(2, frames=11)
    poses = [labelled.frame.T_world_sensor for labelled in street]
    steps = np.diff([pose[:3, 3] for pose in poses], axis=0)
    assert np.allclose(np.linalg.norm(steps, axis=1), street._speed / 10, rtol=0.03)
    ahead = np.array([pose[:3, 0] for pose in poses[:-1]])
    assert np.all(np.einsum("ij,ij->i", steps, ahead) > 0.99 * np.linalg.norm(steps, axis=1))


def test_standing_things_coincide_between_frames() -> None:
    """Densely scanned walls of two frames lie on each other in the world, but not without the poses."""
    frames = list(StreetSimulator(1, frames=11, beams=64, azimuth_steps=2048))
    near = [f.frame.points[(f.labels == BUILDING) & (np.linalg.norm(f.frame.points, axis=1) < 25)] for f in frames]
    poses = [f.frame.T_world_sensor for f in frames]
    world = [points @ pose[:3, :3].T + pose[:3, 3] for points, pose in zip(near, poses, strict=True)]
    assert len(world[0]) > 2000
    moved = cKDTree(world[10]).query(world[0])[0]
    assert np.median(moved) < 0.12
    assert np.percentile(moved, 80) < 0.35


@pytest.mark.parametrize(("seed", "split"), [(0, "train"), (1, "test")])
def test_labels_agree_with_the_geometry(seed: int, split: Literal["train", "test"]) -> None:
    street = StreetSimulator(seed, split, frames=2)
    for index, labelled in enumerate(street):
        world, tolerance = in_world(labelled), 5 * street._lidar.noise
        assert np.all(np.abs(world[labelled.labels == ROAD, 2]) < tolerance)
        pavement = world[labelled.labels == SIDEWALK, 2]
        assert np.all((pavement > -tolerance) & (pavement < KERB + tolerance))
        assert np.all(world[labelled.labels == BUILDING, 2] > KERB - tolerance)
        assert world[labelled.labels == CAR, 2].max() < 2.4 + tolerance
        inside = np.linalg.inv(street._T_world_road)
        points = world @ inside[:3, :3].T + inside[:3, 3]
        people = [s.mesh.vertices for s in street._moving(index / 10) if s.label == PERSON]
        mine = points[labelled.labels == PERSON]
        held = [np.all((mine > v.min(axis=0) - tolerance) & (mine < v.max(axis=0) + tolerance), axis=1) for v in people]
        assert len(mine) > 20
        assert np.all(np.any(held, axis=0))


def test_cars_and_people_move_and_houses_do_not_hide_behind_houses() -> None:
    street = StreetSimulator(0, frames=2)
    first, later = street._moving(0.0), street._moving(0.5)
    moved = [np.abs(a.mesh.vertices.mean(0) - b.mesh.vertices.mean(0)).max() for a, b in zip(first, later, strict=True)]
    assert min(moved) > 0.1
    labelled = next(iter(street))
    points = labelled.frame.points
    distance = np.linalg.norm(points, axis=1)
    column = np.round((np.arctan2(points[:, 1], points[:, 0]) + np.pi) / (2 * np.pi) * 1024).astype(int) % 1024
    row = np.round((3 - np.rad2deg(np.arcsin(points[:, 2] / distance))) / 28 * 31).astype(int)
    assert len(np.unique(column * 32 + row)) == len(points), "one return a ray: what is behind is hidden"


def test_every_class_occurs_and_thin_things_are_hit() -> None:
    counts = np.zeros((4, len(STREET_CLASSES)), dtype=int)
    for seed in range(4):
        labelled = next(iter(StreetSimulator(seed, frames=1)))
        assert labelled.labels is not None
        counts[seed] = np.bincount(labelled.labels, minlength=len(STREET_CLASSES))
    assert np.all(counts > 0)
    assert np.median(counts[:, POLE]) > 80
    assert np.median(counts[:, PERSON]) > 80


def test_nobody_crosses_in_front_of_the_vehicle() -> None:
    for seed in range(5):
        street = StreetSimulator(seed, frames=100)
        for t in np.arange(0.0, 10.0, 0.1):
            for walker in street._people:
                s, d, _ = walker.position(t)
                assert np.hypot(s - street._speed * t, d + street._road.width / 4) > 1.5


def test_a_straight_and_a_bent_road_follow_their_formulas() -> None:
    straight = Road(8.0, 2.0, 0.0, 200.0, 0.3, (), (0.0, 100.0))
    np.testing.assert_allclose(straight.place([0.0, 50.0], [1.0, -2.0]), [[0, 1], [50, -2]], atol=1e-9)
    # Where the sine is at its top, a very long wave is a circle of radius 1 / bend.
    bent = Road(8.0, 2.0, 0.01, 1e6, np.pi / 2, (), (0.0, 100.0))
    s = np.linspace(0, 100, 20)
    circle = np.stack([np.sin(s / 100), 1 - np.cos(s / 100)], axis=1) * 100
    np.testing.assert_allclose(bent.centre_line(s), circle, atol=2e-3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"beams": 0}, "beam"), ({"azimuth_steps": 1}, "azimuth"), ({"frames": -2}, "frame"), ({"split": "x"}, "splits")],
)
def test_bad_settings_are_refused_with_a_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        StreetSimulator(**{"seed": 0, **settings})


def test_what_moves_are_the_cars_and_people_that_stand_elsewhere_later() -> None:
    """Points of cars and people lie inside of the box of one in motion, where and only where they are said to move."""
    street = StreetSimulator(5, "test", frames=20)
    inside_and_moving = inside = 0
    for number, labelled in enumerate(street):
        t = number / street.rate_hz
        meshes = [car.at(street._road, t) for car in street._cars]
        meshes += [walker.at(street._road, t) for walker in street._people]
        points = in_world(labelled) - street._T_world_road[:3, 3]
        points = points @ street._T_world_road[:3, :3]
        boxes = np.stack([(mesh.vertices.min(axis=0) - 0.15, mesh.vertices.max(axis=0) + 0.15) for mesh in meshes])
        within = np.zeros(len(points), dtype=bool)
        for low, high in boxes:
            within |= ((points >= low) & (points <= high)).all(axis=1)
        moving = labelled.other_labels["moving"]
        assert set(np.unique(moving)) == {0, 1}
        assert labelled.labels is not None
        assert not moving[~within].any()
        assert set(np.unique(labelled.labels[moving == 1])) <= {CAR, PERSON}
        vehicle = within & np.isin(labelled.labels, (CAR, PERSON))
        inside, inside_and_moving = inside + vehicle.sum(), inside_and_moving + moving[vehicle].sum()
        assert (labelled.labels[moving == 0] == CAR).any()  # parked
    assert inside > 1000
    assert inside_and_moving > 0.97 * inside  # parked cars reach into the boxes of those that pass
