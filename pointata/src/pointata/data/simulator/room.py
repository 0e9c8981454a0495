"""A furnished room with one moving person, seen by a depth camera that does not move."""

from collections.abc import Iterator

import numpy as np

from pointata.data.simulator.layout import PERSON, ROOM_CLASSES, draw_layout
from pointata.data.simulator.motions import ACTIONS, draw_body
from pointata.data.simulator.performance import Performance
from pointata.data.simulator.raycast import RayScene, nearer, rays_towards
from pointata.data.simulator.sensors import DepthCamera
from pointata.data.simulator.shapes import Solid, rotation_z
from pointata.data.simulator.skeleton import Person
from pointata.data.simulator.splits import Split, check_common, random_stream, ranges_of, uniform
from pointata.errors import ConfigError
from pointata.frame import Frame, LabelledFrame

FRAME_ID = "camera_depth_optical_frame"


class RoomSimulator:
    """One recording of a person who performs actions in a furnished room.

    Frames hold points in the camera's optical axes (x right, y down, z forward), metres; `T_world_sensor` maps them to
    a world whose floor is z = 0. The same arguments always give the same recording, however often it is iterated.

    Args:
        seed: 0 or more; every seed is another person, room, camera pose and sequence of actions.
        split: "train" or "test": separate random streams and different ranges (see `splits.RANGES`).
        frames: length of the recording.
        rate_hz: frames per second, 0.5 to 100.
        width: pixels across the depth image.
        height: pixels down.
        action: id of the only action to perform; None for a random sequence. "sit down" and "fall" then last to the
            end; "stand up" alternates with short frames labelled "sit down", from which it rises.

    Attributes:
        classes: of the point labels.
        actions: of the frame labels.
        rate_hz: as given.

    Raises:
        ConfigError: a setting is out of range.
        InstallationError: open3d is not installed.
    """

    classes = ROOM_CLASSES
    actions = ACTIONS

    def __init__(
        self,
        seed: int,
        split: Split = "train",
        frames: int = 200,
        rate_hz: float = 10.0,
        width: int = 160,
        height: int = 120,
        action: int | None = None,
    ) -> None:
        check_common(seed, split, frames, rate_hz)
        if width < 8 or height < 8:
            raise ConfigError(f"The simulated depth image needs at least 8 x 8 pixels, got {width} x {height}")
        if action is not None and not 0 <= action < len(ACTIONS):
            names = ", ".join(f"{info.id} {info.name}" for info in ACTIONS)
            raise ConfigError(f"The simulator knows the actions {names}; got action={action}")
        self.rate_hz = rate_hz
        self._frames = frames
        self._stream = (seed, split, "room")
        scene = random_stream(*self._stream, 0)
        ranges = ranges_of(split)
        self._camera = DepthCamera(width, height)
        self._layout = draw_layout(scene, ranges)
        self._T_world_room = np.eye(4)
        self._T_world_room[:3, :3] = rotation_z(uniform(scene, (-np.pi, np.pi)))
        self._T_world_room[:2, 3] = scene.uniform(-5.0, 5.0, 2)
        people = random_stream(*self._stream, 1)
        self._person = Person(draw_body(people, ranges))
        body, stage = self._person.body, self._layout.stage
        self._performance = Performance(people, ranges, body, stage, frames, rate_hz, action)
        self._room = RayScene(self._layout.solids)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[LabelledFrame]:
        faults = random_stream(*self._stream, 2)
        pose = self._layout.T_room_camera
        directions = self._camera.directions()
        rays = directions @ pose[:3, :3].T
        empty_room = self._room.cast(pose[:3, 3], rays)
        placement = self._person.place(self._performance.poses)
        for index in range(self._frames):
            body = self._person.mesh(placement, index)
            aimed = rays_towards(rays, pose[:3, 3], [body.vertices])
            seen = RayScene([Solid(body, PERSON)]).cast(pose[:3, 3], rays[aimed])
            hits = nearer(empty_room, seen, aimed)
            points, kept = self._camera.measure(hits, directions, faults)
            frame = Frame.from_points(
                points,
                stamp_ns=round(index / self.rate_hz * 1e9),
                T_world_sensor=self._T_world_room @ pose,
                frame_id=FRAME_ID,
            )
            yield LabelledFrame(frame, hits.label[kept], int(self._performance.actions[index]))
