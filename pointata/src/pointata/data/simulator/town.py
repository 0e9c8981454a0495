"""The standing part of a street: road, sidewalks, houses, trees, hedges, poles and parked cars.

Everything is placed by (s, d): metres along the road's centre line and metres to the left of it.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointata.classes import class_list
from pointata.data.simulator.scenery import car, house, tree
from pointata.data.simulator.shapes import Mesh, Solid, box, cylinder, ellipsoid, leaves, merge, quad_strip
from pointata.data.simulator.splits import Ranges, uniform

Array = NDArray[np.float64]

STREET_CLASSES = class_list(
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("building", (70, 70, 70)),
    ("vegetation", (107, 142, 35)),
    ("pole", (220, 180, 0)),
    ("car", (0, 0, 200)),
    ("person", (220, 20, 60)),
)
ROAD, SIDEWALK, BUILDING, VEGETATION, POLE, CAR, PERSON = range(7)

KERB = 0.12


@dataclass(frozen=True)
class Road:
    """A winding road: curvature(s) = bend * sin(2 pi s / length + phase), through the origin along +x at s = 0.

    Attributes:
        width: both lanes together, metres.
        parking: width of the parking strip on either side, metres.
        bend: greatest curvature, 1/m.
        length: of one left and right bend together, metres.
        phase: radians.
        crossings: s where people may cross, in rising order; nobody parks there.
        reach: (first, last) s of the recording, metres.
    """

    width: float
    parking: float
    bend: float
    length: float
    phase: float
    crossings: tuple[float, ...]
    reach: tuple[float, float]

    @property
    def half(self) -> float:
        """Centre line to kerb, metres."""
        return self.width / 2 + self.parking

    def heading(self, s: ArrayLike) -> Array:
        """Direction of the road at `s`, radians."""
        turn = 2 * np.pi / self.length
        along = np.asarray(s, dtype=np.float64)
        angle: Array = self.bend / turn * (np.cos(self.phase) - np.cos(turn * along + self.phase))
        return angle

    @cached_property
    def _track(self) -> tuple[Array, Array]:
        """Every 0.25 m along the road: s (n,) and the positions (n, 2), by integrating the heading."""
        low, high = self.reach[0] - 50.0, self.reach[1] + 50.0
        steps = np.linspace(low, high, int((high - low) / 0.25) + 1)
        angle = self.heading((steps[1:] + steps[:-1]) / 2)
        walked = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.diff(steps)[:, None]
        track = np.concatenate([np.zeros((1, 2)), np.cumsum(walked, axis=0)])
        start = [np.interp(0.0, steps, track[:, axis]) for axis in (0, 1)]
        return steps, track - start

    def centre_line(self, s: ArrayLike) -> Array:
        """(..., 2) positions of the centre line, metres; valid from 50 m before the road's reach to 50 m behind."""
        steps, track = self._track
        along = np.asarray(s, dtype=np.float64)
        return np.stack([np.interp(along, steps, track[:, 0]), np.interp(along, steps, track[:, 1])], axis=-1)

    def place(self, s: ArrayLike, d: ArrayLike) -> Array:
        """(..., 2) world positions, metres."""
        angle = self.heading(s)
        left = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
        return self.centre_line(s) + left * np.asarray(d, dtype=np.float64)[..., None]

    def put(self, mesh: Mesh, s: float, d: float, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """A mesh that was built around the origin, moved to (s, d), its +x along the road turned by `yaw`."""
        return mesh.moved((*self.place(s, d).tolist(), z), float(self.heading(s)) + yaw)


def draw_road(rng: np.random.Generator, ranges: Ranges, start: float, end: float) -> Road:
    """A road of the split, with crossings between `start` and `end` metres."""
    gaps = rng.uniform(35.0, 80.0, int((end - start) / 35.0) + 1)
    crossings = [s for s in (start + np.cumsum(gaps)).tolist() if s < end]
    return Road(
        width=uniform(rng, ranges.road_width),
        parking=2.2,
        bend=uniform(rng, ranges.curvature),
        length=uniform(rng, (150.0, 300.0)),
        phase=uniform(rng, (0.0, 2 * np.pi)),
        crossings=tuple(crossings),
        reach=(start, end),
    )


def build_town(rng: np.random.Generator, ranges: Ranges, road: Road) -> list[Solid]:
    """All standing surfaces along the reach of the road."""
    start, end = road.reach
    solids = _ground(road, start, end)
    for side in (-1, 1):
        pavement = uniform(rng, (2.6, 6.0))
        solids += _houses(rng, ranges, road, side, pavement, start, end)
        solids += _greenery(rng, road, side, pavement, start, end)
        solids += _street_furniture(rng, road, side, start, end)
        solids += _parked_cars(rng, road, side, start, end)
    return solids


def _ground(road: Road, start: float, end: float) -> list[Solid]:
    """Road with kerbs, and pavement as far as the houses and behind them."""
    s = np.arange(start, end + 2.0, 2.0)

    def line(d: float, z: float) -> Array:
        return np.column_stack([road.place(s, np.full(len(s), d)), np.full(len(s), z)])

    solids = [Solid(quad_strip(line(road.half, 0.0), line(-road.half, 0.0)), ROAD)]
    for side in (-1.0, 1.0):
        lines = [line(side * road.half, 0.0), *(line(side * (road.half + d), KERB) for d in (0.0, 4.0, 12.0, 50.0))]
        solids.append(Solid(merge([quad_strip(a, b) for a, b in pairwise(lines)]), SIDEWALK))
    return solids


def _houses(
    rng: np.random.Generator, ranges: Ranges, road: Road, side: int, pavement: float, start: float, end: float
) -> list[Solid]:
    solids, s = [], start + uniform(rng, (0.0, 8.0))
    while s < end:
        length, height = uniform(rng, (8.0, 22.0)), uniform(rng, ranges.building_height)
        mesh = house(rng, length, uniform(rng, (7.0, 12.0)), height).moved((-length / 2, 0, 0))
        setback = road.half + pavement + (uniform(rng, (0.0, 1.0)) if rng.random() < 0.7 else uniform(rng, (2.0, 6.0)))
        # The front looks to -y: turned for the side that lies to the right of the road.
        yaw = 0.0 if side > 0 else np.pi
        solids.append(Solid(road.put(mesh, s + length / 2, side * setback, KERB, yaw), BUILDING))
        s += length + (0.0 if rng.random() < 0.55 else uniform(rng, (2.0, 9.0)))
    return solids


def _greenery(
    rng: np.random.Generator, road: Road, side: int, pavement: float, start: float, end: float
) -> list[Solid]:
    solids, s = [], start + uniform(rng, (2.0, 15.0))
    spacing = uniform(rng, (7.0, 15.0))
    while s < end:
        at = side * (road.half + uniform(rng, (0.7, 1.1)))
        solids += [Solid(road.put(part, s, at, KERB), VEGETATION) for part in tree(rng)]
        s += spacing * uniform(rng, (0.7, 1.6))
    # A hedge needs a pavement that leaves people a way past it.
    s = start + uniform(rng, (0.0, 30.0)) if pavement > 4.0 else end
    while s < end:
        length, height = uniform(rng, (4.0, 12.0)), uniform(rng, (0.8, 1.7))
        radii = (length / 2, uniform(rng, (0.35, 0.55)), height / 2)
        fuzz = leaves(rng, int(45 * length), radii, 0.28, 0.75).moved((0, 0, height / 2))
        core = ellipsoid(np.array(radii) * 0.85, 16).moved((0, 0, height / 2))
        at = side * (road.half + pavement - 0.75)
        solids.append(Solid(road.put(merge([core, fuzz]), s, at, KERB), VEGETATION))
        s += length + uniform(rng, (8.0, 40.0))
    return solids


def _street_furniture(rng: np.random.Generator, road: Road, side: int, start: float, end: float) -> list[Solid]:
    """Lamp posts, traffic signs and bollards along the kerb."""
    solids, s = [], start + uniform(rng, (0.0, 12.0))
    while s < end:
        kind = rng.random()
        if kind < 0.45:
            height, reach = uniform(rng, (5.0, 8.0)), uniform(rng, (0.8, 2.0))
            arm = box((-0.05, -reach, height - 0.1), (0.05, 0.0, height))
            parts = [cylinder(uniform(rng, (0.08, 0.13)), height), arm, cylinder(0.18, 0.6)]
        elif kind < 0.85:
            height = uniform(rng, (2.2, 3.2))
            size = uniform(rng, (0.25, 0.4))
            plate = box((-0.05, -size, height - 2 * size), (-0.03, size, height))
            parts = [cylinder(uniform(rng, (0.035, 0.06)), height, 8), plate]
        else:
            parts = [cylinder(0.08, uniform(rng, (0.8, 1.1)), 10)]
        yaw = (0.0 if side > 0 else np.pi) + uniform(rng, (-0.2, 0.2))
        solids.append(Solid(road.put(merge(parts), s, side * (road.half + 0.45), KERB, yaw), POLE))
        s += uniform(rng, (6.0, 15.0))
    return solids


def _parked_cars(rng: np.random.Generator, road: Road, side: int, start: float, end: float) -> list[Solid]:
    solids, s = [], start + uniform(rng, (0.0, 10.0))
    crowded = uniform(rng, (0.15, 0.65))
    while s < end:
        if rng.random() < crowded and all(abs(s - crossing) > 4.5 for crossing in road.crossings):
            yaw = (0.0 if side < 0 else np.pi) + uniform(rng, (-0.04, 0.04))
            at = side * (road.half - road.parking / 2 + uniform(rng, (-0.1, 0.15)))
            solids.append(Solid(road.put(car(rng), s, at, yaw=yaw), CAR))
        s += uniform(rng, (5.8, 7.5))
    return solids
