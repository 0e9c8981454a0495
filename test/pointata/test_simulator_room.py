"""The simulated room: what its frames promise, checked against the geometry behind them."""

from typing import Any, Literal

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pointata.errors import ConfigError
from pointata.frame import LabelledFrame

pytest.importorskip("open3d", reason="the simulator casts its rays with open3d (pip install pointata[training])")
from pointata.data.simulator import ACTIONS, ROOM_CLASSES, RoomSimulator
from pointata.data.simulator.layout import FLOOR, PERSON, WALL
from pointata.data.simulator.shapes import Mesh
from pointata.data.simulator.splits import RANGES


def in_world(labelled: LabelledFrame) -> np.ndarray:
    pose = labelled.frame.T_world_sensor
    return labelled.frame.points @ pose[:3, :3].T + pose[:3, 3]


def test_a_recording_is_the_same_each_time() -> None:
    room = RoomSimulator(5, frames=6)
    for first, second, third in zip(room, room, RoomSimulator(5, frames=6), strict=True):
        for other in (second, third):
            np.testing.assert_array_equal(first.frame.points, other.frame.points)
            np.testing.assert_array_equal(first.labels, other.labels)
            np.testing.assert_array_equal(first.frame.T_world_sensor, other.frame.T_world_sensor)
            assert first.action == other.action


def test_seeds_and_splits_give_different_recordings() -> None:
    rooms = [RoomSimulator(5), RoomSimulator(6), RoomSimulator(5, "test")]
    poses = [room._performance.poses for room in rooms]
    assert not np.allclose(poses[0], poses[1])
    assert not np.allclose(poses[0], poses[2])
    assert len({room._person.body.height for room in rooms}) == 3
    assert RANGES["test"].height[1] > RANGES["train"].height[1]


def test_frames_carry_what_the_interface_says() -> None:
    room = RoomSimulator(1, frames=7, rate_hz=20.0, width=80, height=60)
    frames = list(room)
    assert len(room) == len(frames) == 7
    assert room.classes is ROOM_CLASSES
    assert room.actions is ACTIONS
    assert room.rate_hz == 20.0
    assert [f.frame.stamp_ns for f in frames] == [50_000_000 * i for i in range(7)]
    for labelled in frames:
        frame = labelled.frame
        assert frame.frame_id == "camera_depth_optical_frame"
        assert 0.8 * 80 * 60 < len(frame.points) <= 80 * 60
        assert labelled.labels is not None
        assert labelled.labels.dtype == np.uint8
        assert labelled.labels.max() < len(ROOM_CLASSES)
        assert frame.points[:, 2].min() > 0.3
        assert frame.points[:, 2].max() < 6.6
        rotation = frame.T_world_sensor[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert rotation[2, 1] < -0.7, "the camera's y axis points down"
        assert 0.8 <= frame.T_world_sensor[2, 3] <= 2.0


def on_surface(mesh: Mesh) -> np.ndarray:
    """(F * 55, 3) points spread evenly over every triangle."""
    steps = [(i / 9, j / 9) for i in range(10) for j in range(10 - i)]
    weights = np.array([(a, b, 1 - a - b) for a, b in steps])
    return np.einsum("wk,fkx->fwx", weights, mesh.vertices[mesh.faces]).reshape(-1, 3)


@pytest.mark.parametrize(("seed", "split"), [(0, "train"), (1, "train"), (2, "test"), (3, "test")])
def test_labels_agree_with_the_geometry(seed: int, split: Literal["train", "test"]) -> None:
    room = RoomSimulator(seed, split, frames=4)
    placement = room._person.place(room._performance.poses)
    meshes = [solid for solid in room._layout.solids if solid.label not in (FLOOR, WALL)]
    for index, labelled in enumerate(room):
        depth = labelled.frame.points[:, 2]
        # Four standard deviations of noise, and the rounding of the depth.
        tolerance = 4 * (0.001 + 0.0015 * depth**2) + 0.0006 * depth**2
        world = in_world(labelled)
        floor = labelled.labels == FLOOR
        assert np.mean(np.abs(world[floor, 2]) < tolerance[floor]) > 0.999
        assert np.all(world[:, 2] > -0.3)
        inside = np.linalg.inv(room._T_world_room)
        points = world @ inside[:3, :3].T + inside[:3, 3]
        mesh = room._person.mesh(placement, index)
        body = mesh.vertices
        person = points[labelled.labels == PERSON]
        assert len(person) > 100
        margin = tolerance[labelled.labels == PERSON].max()
        assert np.all(person > body.min(axis=0) - margin)
        assert np.all(person < body.max(axis=0) + margin)
        assert cKDTree(on_surface(mesh)).query(person)[0].max() < 0.03 + 1.5 * margin
        for label in np.unique([solid.label for solid in meshes]):
            mine = labelled.labels == label
            boxes = [(s.mesh.vertices.min(axis=0), s.mesh.vertices.max(axis=0)) for s in meshes if s.label == label]
            wide = tolerance[mine, None]
            held = [np.all((points[mine] > a - wide) & (points[mine] < b + wide), axis=1) for a, b in boxes]
            assert np.all(np.any(held, axis=0))


def test_nothing_is_seen_behind_the_walls() -> None:
    for seed in range(4):
        room = RoomSimulator(seed, frames=1)
        floor = next(s for s in room._layout.solids if s.label == FLOOR).mesh.vertices
        low, high = floor.min(axis=0)[:2] + 0.3, floor.max(axis=0)[:2] - 0.3
        labelled = next(iter(room))
        inside = np.linalg.inv(room._T_world_room)
        points = (in_world(labelled) @ inside[:3, :3].T + inside[:3, 3])[:, :2]
        reach = 4 * (0.001 + 0.0015 * 36) + 0.03
        assert np.all((points > low - reach) & (points < high + reach))


def test_the_person_hides_what_is_behind() -> None:
    room = RoomSimulator(4, frames=1)
    camera, pose = room._camera, room._layout.T_room_camera
    rays = camera.directions() @ pose[:3, :3].T
    without = room._room.cast(pose[:3, 3], rays).distance
    labelled = next(iter(room))
    points = labelled.frame.points
    focal = camera.width / 2 / np.tan(camera.field_of_view / 2)
    u = np.floor(points[:, 0] / points[:, 2] * focal + camera.width / 2 + 1e-3).astype(int)
    v = np.floor(points[:, 1] / points[:, 2] * focal + camera.height / 2 + 1e-3).astype(int)
    pixel = v * camera.width + u
    assert len(np.unique(pixel)) == len(pixel), "one return a pixel"
    person = labelled.labels == PERSON
    assert np.all(np.linalg.norm(points[person], axis=1) < without[pixel[person]] + 0.1)


def test_every_class_occurs() -> None:
    seen = np.zeros(len(ROOM_CLASSES), dtype=int)
    for seed in range(6):
        labelled = next(iter(RoomSimulator(seed, frames=1)))
        assert labelled.labels is not None
        seen += np.bincount(labelled.labels, minlength=len(ROOM_CLASSES)) > 20
    assert np.all(seen > 0)


def test_one_action_gives_only_that_action() -> None:
    bend = next(info.id for info in ACTIONS if info.name == "bend")
    assert {labelled.action for labelled in RoomSimulator(0, frames=30, action=bend, width=16, height=12)} == {bend}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": -1}, "seed"),
        ({"split": "validation"}, "train, test"),
        ({"frames": 0}, "at least 1 frame"),
        ({"rate_hz": 0.0}, "rate"),
        ({"width": 2}, "8 x 8"),
        ({"action": 99}, "7 fall"),
    ],
)
def test_bad_settings_are_refused_with_a_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RoomSimulator(**{"seed": 0, **settings})
