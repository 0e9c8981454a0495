"""The standing part of a street: road, sidewalks, houses, trees, hedges, poles and parked cars.

Everything is placed by (s, d): metres along the road's centre line and metres to the left of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointata.classes import class_list
from pointata.data.simulator.shapes import (
    Mesh,
    Solid,
    box,
    cylinder,
    ellipsoid,
    frustum,
    leaves,
    merge,
    quad_strip,
)
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
    """A winding road: curvature(s) = bend * sin(2 pi s / length + phase).

    Attributes:
        width: both lanes together, metres.
        parking: width of the parking strip on either side, metres.
        bend: greatest curvature, 1/m.
        length: of one left and right bend together, metres.
        phase: radians.
        origin: (x, y, heading) at s = 0 where the phase is a whole turn; metres, radians.
    """

    width: float
    parking: float
    bend: float
    length: float
    phase: float
    origin: tuple[float, float, float]

    @property
    def half(self) -> float:
        """Centre line to kerb, metres."""
        return self.width / 2 + self.parking

    def heading(self, s: ArrayLike) -> Array:
        """Direction of the road at `s`, radians."""
        turn = 2 * np.pi / self.length
        along = np.asarray(s, dtype=np.float64)
        return self.origin[2] - self.bend / turn * (np.cos(turn * along + self.phase) - np.cos(self.phase))

    def centre_line(self, s: ArrayLike) -> Array:
        """(..., 2) positions of the centre line, by integrating the heading in steps of at most 0.25 m."""
        along = np.asarray(s, dtype=np.float64)
        low, high = min(float(along.min()), 0.0), max(float(along.max()), 0.0) + 1e-6
        steps = np.linspace(low, high, int((high - low) / 0.25) + 2)
        angle = self.heading((steps[1:] + steps[:-1]) / 2)
        walked = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.diff(steps)[:, None]
        track = np.concatenate([np.zeros((1, 2)), np.cumsum(walked, axis=0)])
        x, y = (np.interp(along, steps, track[:, axis]) - np.interp(0.0, steps, track[:, axis]) for axis in (0, 1))
        return np.stack([x + self.origin[0], y + self.origin[1]], axis=-1)

    def place(self, s: ArrayLike, d: ArrayLike) -> Array:
        """(..., 2) world positions, metres."""
        angle = self.heading(s)
        left = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
        return self.centre_line(s) + left * np.asarray(d, dtype=np.float64)[..., None]

    def put(self, mesh: Mesh, s: float, d: float, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """A mesh that was built around the origin, moved to (s, d), its +x along the road turned by `yaw`."""
        return mesh.moved((*self.place(s, d).tolist(), z), float(self.heading(s)) + yaw)


def draw_road(rng: np.random.Generator, ranges: Ranges) -> Road:
    """A road of the split."""
    return Road(
        width=uniform(rng, ranges.road_width),
        parking=2.2,
        bend=uniform(rng, ranges.curvature),
        length=uniform(rng, (150.0, 300.0)),
        phase=uniform(rng, (0.0, 2 * np.pi)),
        origin=(uniform(rng, (-50.0, 50.0)), uniform(rng, (-50.0, 50.0)), uniform(rng, (-np.pi, np.pi))),
    )


def build_town(rng: np.random.Generator, ranges: Ranges, road: Road, start: float, end: float) -> list[Solid]:
    """All standing surfaces between `start` and `end` metres along the road."""
    solids = _ground(road, start, end)
    for side in (-1, 1):
        pavement = uniform(rng, (2.5, 5.5))
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
        kerb, top, far = line(side * road.half, 0.0), line(side * road.half, KERB), line(side * 60.0, KERB)
        solids.append(Solid(merge([quad_strip(kerb, top), quad_strip(top, far)]), SIDEWALK))
    return solids


def house(rng: np.random.Generator, length: float, depth: float, height: float) -> Mesh:
    """A house whose front (towards -y, at y = 0) has windows, a door and perhaps balconies; x from 0 to `length`."""
    parts = [box((0, 0.25, 0), (length, depth, height))]
    storeys = max(int(height / 2.9), 1)
    bays = max(int(length / uniform(rng, (2.4, 4.0))), 1)
    window, balconies = uniform(rng, (0.35, 0.6)), rng.random() < 0.35
    pitch, floor = length / bays, height / storeys
    # The front wall is built of pillars and parapets around the window niches.
    edges = [0.0, *(b * pitch + e for b in range(bays) for e in (0.5 * (1 - window) * pitch, 0.5 * (1 + window) * pitch))]
    parts += [box((a, 0, 0), (b, 0.25, height)) for a, b in zip([*edges[::2]], [*edges[1::2], length], strict=True)]
    for storey in range(storeys):
        parts.append(box((0, 0.02, storey * floor), (length, 0.25, storey * floor + 0.9)))
        parts.append(box((0, 0.02, (storey + 1) * floor - 0.5), (length, 0.25, (storey + 1) * floor)))
        if balconies and storey:
            bay = int(rng.integers(bays))
            low, z = bay * pitch + 0.15 * pitch, storey * floor
            parts.append(box((low, -1.1, z), (low + 0.7 * pitch, 0, z + 0.15)))
            parts.append(box((low, -1.1, z), (low + 0.7 * pitch, -1.05, z + 1.0)))
    if rng.random() < 0.5:
        roof = frustum((length / 2 + 0.3, depth / 2 + 0.3), (length / 2, 0.1), (height, height + uniform(rng, (2.0, 4.0))))
        parts.append(roof.moved((length / 2, depth / 2, 0)))
    return merge(parts)


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


def tree(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """Trunk and crown, standing on z = 0; together vegetation."""
    height, spread = uniform(rng, (4.5, 9.0)), uniform(rng, (1.4, 2.8))
    bare = uniform(rng, (1.9, 2.8))
    trunk = cylinder(uniform(rng, (0.10, 0.25)), bare + 0.8, 10)
    radii = (spread, spread, (height - bare) / 2)
    crown = leaves(rng, 320, radii, 0.42, 0.35).moved((0, 0, (height + bare) / 2))
    return trunk, crown


def _greenery(
    rng: np.random.Generator, road: Road, side: int, pavement: float, start: float, end: float
) -> list[Solid]:
    solids, s = [], start + uniform(rng, (2.0, 15.0))
    spacing = uniform(rng, (8.0, 20.0))
    while s < end:
        at = side * (road.half + uniform(rng, (0.7, 1.1)))
        solids += [Solid(road.put(part, s, at, KERB), VEGETATION) for part in tree(rng)]
        s += spacing * uniform(rng, (0.7, 1.6))
    s = start + uniform(rng, (0.0, 30.0))
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
            parts = [cylinder(uniform(rng, (0.07, 0.11)), height), arm, cylinder(0.16, 0.4)]
        elif kind < 0.85:
            height = uniform(rng, (2.2, 3.2))
            size = uniform(rng, (0.25, 0.4))
            plate = box((-0.05, -size, height - 2 * size), (-0.03, size, height))
            parts = [cylinder(uniform(rng, (0.035, 0.06)), height, 8), plate]
        else:
            parts = [cylinder(0.08, uniform(rng, (0.8, 1.1)), 10)]
        yaw = (0.0 if side > 0 else np.pi) + uniform(rng, (-0.2, 0.2))
        solids.append(Solid(road.put(merge(parts), s, side * (road.half + 0.45), KERB, yaw), POLE))
        s += uniform(rng, (7.0, 18.0))
    return solids


def car(rng: np.random.Generator) -> Mesh:
    """A car or van on z = 0, its nose towards +x: body, cabin with slanting windows, wheels, mirrors."""
    van = rng.random() < 0.2
    length = uniform(rng, (4.6, 5.6)) if van else uniform(rng, (3.7, 4.9))
    half, height = uniform(rng, (0.82, 0.95)), uniform(rng, (1.9, 2.4)) if van else uniform(rng, (1.4, 1.7))
    waist = uniform(rng, (0.9, 1.1)) if van else uniform(rng, (0.8, 0.95))
    low = frustum((length / 2 - 0.06, half - 0.04), (length / 2, half), (0.2, 0.5))
    high = frustum((length / 2, half), (length / 2 - 0.12, half - 0.05), (0.5, waist))
    bonnet = 0.8 if van else uniform(rng, (1.0, 1.3))
    boot = 0.03 if van or rng.random() < 0.5 else uniform(rng, (0.4, 0.8))
    cabin_half = (length - bonnet - boot) / 2
    cabin = frustum((cabin_half, half - 0.06), (cabin_half - (0.2 if van else 0.5), half - 0.2), (waist, height))
    parts = [low, high, cabin.moved(((boot - bonnet) / 2, 0, 0))]
    wheel = cylinder(0.32, 0.2, 12)
    flat = np.stack([wheel.vertices[:, 0], wheel.vertices[:, 2], wheel.vertices[:, 1]], axis=1)
    for x in (-0.3 * length, 0.3 * length):
        for y in (-half, half - 0.2):
            parts.append(Mesh(flat, wheel.faces).moved((x, y, 0.32)))
    mirror = length / 2 - bonnet - 0.3
    parts += [box((mirror - 0.08, y - 0.1, waist), (mirror + 0.08, y + 0.1, waist + 0.15)) for y in (-half - 0.05, half + 0.05)]
    return merge(parts)


def _parked_cars(rng: np.random.Generator, road: Road, side: int, start: float, end: float) -> list[Solid]:
    solids, s = [], start + uniform(rng, (0.0, 10.0))
    crowded = uniform(rng, (0.2, 0.8))
    while s < end:
        if rng.random() < crowded:
            yaw = (0.0 if side < 0 else np.pi) + uniform(rng, (-0.04, 0.04))
            at = side * (road.half - road.parking / 2 + uniform(rng, (-0.1, 0.15)))
            solids.append(Solid(road.put(car(rng), s, at, yaw=yaw), CAR))
        s += uniform(rng, (5.8, 7.5))
    return solids
