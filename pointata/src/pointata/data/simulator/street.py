"""A drive along a street with moving cars and people, seen by a spinning LiDAR on the roof."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pointata.data.simulator.raycast import RayScene, nearer
from pointata.data.simulator.sensors import SpinningLidar
from pointata.data.simulator.shapes import Solid, rotation_x, rotation_y, rotation_z
from pointata.data.simulator.splits import Split, check_common, random_stream, ranges_of, uniform
from pointata.data.simulator.town import CAR, PERSON, STREET_CLASSES, build_town, draw_road
from pointata.data.simulator.traffic import draw_cars, draw_people
from pointata.errors import ConfigError
from pointata.frame import Frame, LabelledFrame
from pointata.tasks import TASKS

FRAME_ID = "lidar"
#: Metres; people farther away are left out, as beams 0.9 degrees apart hardly ever meet them.
PEOPLE_WITHIN = 50.0
#: Metres a second; what is slower over the ground counts as static. Cars and people in motion are faster than 0.9.
MOVING_SPEED = 0.5


class StreetSimulator:
    """One recording of a drive.

    Frames hold points in the LiDAR's axes (x forward, y left, z up), metres; `T_world_sensor` maps them to a world
    whose road surface is z = 0. Each frame is a whole turn measured from one place (see `SpinningLidar`). The same
    arguments always give the same recording, however often it is iterated.

    Args:
        seed: 0 or more; every seed is another street, traffic and speed.
        split: "train" or "test": separate random streams and different ranges (see `splits.RANGES`).
        frames: length of the recording.
        rate_hz: turns per second, 0.5 to 100.
        beams: lasers, evenly from +3 to -25 degrees.
        azimuth_steps: measurements of each laser per turn.

    Attributes:
        classes: of the point labels.
        other_classes: of the further point labels, by task.
        rate_hz: as given.

    Raises:
        ConfigError: a setting is out of range.
        InstallationError: open3d is not installed.
    """

    classes = STREET_CLASSES
    other_classes: ClassVar = {"moving": TASKS["moving"].classes}

    def __init__(
        self,
        seed: int,
        split: Split = "train",
        frames: int = 100,
        rate_hz: float = 10.0,
        beams: int = 32,
        azimuth_steps: int = 1024,
    ) -> None:
        check_common(seed, split, frames, rate_hz)
        if beams < 1 or azimuth_steps < 4:
            raise ConfigError(
                f"The simulated LiDAR needs at least 1 beam and 4 azimuth steps, got {beams} and {azimuth_steps}"
            )
        self.rate_hz = rate_hz
        self._frames = frames
        self._stream = (seed, split, "street")
        self._lidar = SpinningLidar(beams, azimuth_steps)
        scene = random_stream(*self._stream, 0)
        ranges = ranges_of(split)
        self._speed = uniform(scene, ranges.street_speed)
        self._height = uniform(scene, (1.65, 1.95))
        self._bounce = scene.uniform(0.0, 2 * np.pi, 2)
        driven = self._speed * frames / rate_hz
        reach = (-self._lidar.far - 10.0, driven + self._lidar.far + 10.0)
        self._road = draw_road(scene, ranges, *reach)
        self._T_world_road = np.eye(4)
        self._T_world_road[:3, :3] = rotation_z(uniform(scene, (-np.pi, np.pi)))
        self._T_world_road[:2, 3] = scene.uniform(-50.0, 50.0, 2)
        self._town = RayScene(build_town(scene, ranges, self._road))
        traffic = random_stream(*self._stream, 1)
        self._cars = draw_cars(traffic, self._road, self._speed)
        self._people = draw_people(traffic, ranges, self._road, self._speed)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[LabelledFrame]:
        faults = random_stream(*self._stream, 2)
        directions = self._lidar.directions()
        all_rays = np.arange(len(directions))
        for index in range(self._frames):
            t = index / self.rate_hz
            pose = self._pose(t)
            origin, rays = pose[:3, 3], directions @ pose[:3, :3].T
            hits = self._town.cast(origin, rays)
            hits = nearer(hits, RayScene(self._moving(t)).cast(origin, rays), all_rays)
            points, kept = self._lidar.measure(hits, directions, faults)
            frame = Frame.from_points(
                points,
                stamp_ns=round(index / self.rate_hz * 1e9),
                T_world_sensor=self._T_world_road @ pose,
                frame_id=FRAME_ID,
            )
            moving = (hits.speed[kept] >= MOVING_SPEED).astype(np.uint8)
            yield LabelledFrame(frame, hits.label[kept], other_labels={"moving": moving})

    def _pose(self, t: float) -> NDArray[np.float64]:
        """(4, 4) LiDAR to road axes at time `t`: in the middle of the right lane, nodding a little."""
        s = self._speed * t
        nod = 0.006 * np.sin(2 * np.pi * 0.9 * t + self._bounce[0])
        roll = 0.004 * np.sin(2 * np.pi * 0.6 * t + self._bounce[1])
        pose = np.eye(4)
        pose[:3, :3] = rotation_z(float(self._road.heading(s))) @ rotation_y(nod) @ rotation_x(roll)
        pose[:2, 3] = self._road.place(s, -self._road.width / 4)
        pose[2, 3] = self._height
        return pose

    def _moving(self, t: float) -> list[Solid]:
        """Cars in range, and people near enough for more than two or three returns."""
        here = self._speed * t
        cars = [car for car in self._cars if abs(car.start + car.speed * t - here) < self._lidar.far]
        people = [walker for walker in self._people if abs(walker.position(t)[0] - here) < PEOPLE_WITHIN]
        return [
            *(Solid(car.at(self._road, t), CAR, abs(car.speed)) for car in cars),
            *(Solid(walker.at(self._road, t), PERSON, walker.speed) for walker in people),
        ]
