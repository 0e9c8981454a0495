"""A furnished room with free floor in its middle, and a depth camera that looks at it.

Room axes: the camera stands near the wall y = 0 and looks roughly along +y; x is to its right.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pointata.classes import class_list
from pointata.data.simulator.furniture import Piece, cabinet, chair, sofa, table
from pointata.data.simulator.performance import Stage
from pointata.data.simulator.shapes import Solid, box, rotation_x, rotation_y, rotation_z
from pointata.data.simulator.splits import Ranges, uniform
from pointata.geometry.axes import FORWARD_FROM_OPTICAL

Array = NDArray[np.float64]

ROOM_CLASSES = class_list(
    ("floor", (152, 223, 138)),
    ("wall", (174, 199, 232)),
    ("table", (255, 152, 150)),
    ("chair", (188, 189, 34)),
    ("sofa", (140, 86, 75)),
    ("cabinet", (23, 190, 207)),
    ("person", (214, 39, 40)),
)
FLOOR, WALL, TABLE, CHAIR, SOFA, CABINET, PERSON = range(7)
_MAKERS: dict[int, Callable[[np.random.Generator], Piece]] = {TABLE: table, CHAIR: chair, SOFA: sofa, CABINET: cabinet}

#: The person stays within this angle of the camera's axis, and at least this far from it.
_VIEW_HALF_ANGLE = np.deg2rad(27.0)
_VIEW_NEAR = 1.5


@dataclass
class Layout:
    """What stands where.

    Attributes:
        solids: static surfaces, room axes, metres.
        T_room_camera: (4, 4) camera optical axes to room axes.
        free_low: (2,) corner of the free floor, metres.
        free_high: (2,) opposite corner.
        seat_spot: (x, y, yaw) of the feet in front of the seat.
        seat_height: metres.
        footprints: (low, high) corners of the furniture on the floor.
    """

    solids: list[Solid]
    T_room_camera: Array
    free_low: Array
    free_high: Array
    seat_spot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seat_height: float = 0.45
    footprints: list[tuple[Array, Array]] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        """The free floor, for a performance."""
        return Stage(self.seat_spot, self.seat_height, self._pick, self._room_to)

    def _pick(self, rng: np.random.Generator) -> Array:
        place = (self.free_low + self.free_high) / 2
        for _ in range(50):
            drawn = rng.uniform(self.free_low, self.free_high)
            if in_view(drawn, self.T_room_camera):
                return drawn
        return place

    def _room_to(self, place: Array, way: Array) -> float:
        """Metres from `place` to the border of the free floor, widened by 0.4 m, along the unit vector `way`."""
        limits = np.where(way > 0, self.free_high + 0.4 - place, place - self.free_low + 0.4)
        return float(np.min(np.maximum(limits, 0.0) / np.maximum(np.abs(way), 1e-9)))


def in_view(place: Array, T_room_camera: Array) -> bool:
    """Whether a floor position (2,) lies well inside the camera's horizontal field of view."""
    ahead, to_place = T_room_camera[:2, 2], place - T_room_camera[:2, 3]
    distance = float(np.linalg.norm(to_place))
    cosine = float(to_place @ ahead) / max(distance * float(np.linalg.norm(ahead)), 1e-9)
    return distance > _VIEW_NEAR and cosine > np.cos(_VIEW_HALF_ANGLE)


def draw_layout(rng: np.random.Generator, ranges: Ranges) -> Layout:
    """A room of the split."""
    width, depth = uniform(rng, ranges.room_width), uniform(rng, ranges.room_depth)
    camera = np.array([uniform(rng, (-0.25, 0.25)) * width, uniform(rng, (0.15, 0.5)), uniform(rng, (0.8, 2.0))])
    middle = np.array([0.4 * camera[0] + uniform(rng, (-0.3, 0.3)), camera[1] + uniform(rng, (2.4, 3.0))])
    half = np.array([uniform(rng, (1.0, 1.4)), uniform(rng, (0.75, 1.0))])
    layout = Layout(_shell(rng, width, depth), _aim(rng, camera, middle), middle - half, middle + half)
    _place_seat(rng, layout, width, depth)
    wanted = [CABINET, TABLE, SOFA, CHAIR, *rng.choice([TABLE, CHAIR, CHAIR, SOFA, CABINET], int(rng.integers(1, 4)))]
    for label in wanted:
        _place_along_walls(rng, layout, int(label), width, depth)
    return layout


def _aim(rng: np.random.Generator, camera: Array, middle: Array) -> Array:
    """Pose of a camera that looks at the height of a person's waist in the middle of the free floor."""
    to_middle = middle - camera[:2]
    yaw = np.arctan2(to_middle[1], to_middle[0]) + uniform(rng, (-0.06, 0.06))
    pitch = np.arctan2(camera[2] - 0.85, np.linalg.norm(to_middle)) + uniform(rng, (-0.05, 0.05))
    pose = np.eye(4)
    pose[:3, :3] = rotation_z(yaw) @ rotation_y(pitch) @ rotation_x(uniform(rng, (-0.05, 0.05))) @ FORWARD_FROM_OPTICAL
    pose[:3, 3] = camera
    return pose


def _shell(rng: np.random.Generator, width: float, depth: float) -> list[Solid]:
    """Floor and walls, with a door, a window niche or pictures; no ceiling, which the camera hardly ever sees."""
    x, height = width / 2, uniform(rng, (2.5, 2.9))
    floor = box((-x - 0.3, -0.3, -0.1), (x + 0.3, depth + 0.3, 0.0))
    walls = [
        box((-x - 0.2, -0.2, 0), (-x, depth + 0.2, height)),
        box((x, -0.2, 0), (x + 0.2, depth + 0.2, height)),
        box((-x - 0.2, -0.2, 0), (x + 0.2, 0, height)),
        box((-x - 0.2, depth, 0), (x + 0.2, depth + 0.2, height)),
    ]
    if rng.random() < 0.7:
        door = uniform(rng, (-x + 0.7, x - 0.7))
        walls.append(box((door - 0.5, depth - 0.03, 0), (door + 0.5, depth, 2.1)))
    for side in (-1, 1):
        if rng.random() < 0.5:
            along, size = uniform(rng, (1.5, depth - 1.0)), uniform(rng, (0.3, 0.6))
            edge = sorted((side * x, side * (x - 0.04)))
            walls.append(box((edge[0], along - size, 1.2), (edge[1], along + size, 1.2 + size)))
    if rng.random() < 0.3:
        pillar, corner = uniform(rng, (0.15, 0.3)), float(rng.choice([-1.0, 1.0]))
        low_x, high_x = sorted((corner * x, corner * (x - pillar)))
        walls.append(box((low_x, depth - pillar, 0), (high_x, depth, height)))
    return [Solid(floor, FLOOR), *(Solid(wall, WALL) for wall in walls)]


def _place_seat(rng: np.random.Generator, layout: Layout, width: float, depth: float) -> None:
    """A chair or sofa at the border of the free floor, not on the camera's side, that a person can walk up to."""
    label = CHAIR if rng.random() < 0.5 else SOFA
    piece = _MAKERS[label](rng)
    half_depth, half_width = piece.size[0] / 2, piece.size[1] / 2
    low, high = layout.free_low, layout.free_high
    sides = rng.permutation(3).tolist()
    for side in [*sides, 0]:
        if side == 0:
            yaw, edge = -np.pi / 2, np.array([uniform(rng, (low[0] + 0.3, high[0] - 0.3)), high[1]])
        else:
            yaw = 0.0 if side == 1 else np.pi
            edge = np.array([low[0] if side == 1 else high[0], uniform(rng, (low[1] + 0.5, high[1]))])
        forward = np.array([np.cos(yaw), np.sin(yaw)])
        spot = edge + forward * 0.25
        centre = edge - forward * half_depth
        reach = np.array([half_depth, half_width] if side else [half_width, half_depth])
        inside = np.all(centre - reach > [-width / 2, 0.0]) and np.all(centre + reach < [width / 2, depth])
        if (inside and in_view(spot, layout.T_room_camera)) or side == 0:
            break
    layout.solids.append(Solid(piece.mesh.moved((*centre, 0.0), yaw), label))
    layout.footprints.append((centre - reach, centre + reach))
    layout.seat_spot = (float(spot[0]), float(spot[1]), float(yaw))
    layout.seat_height = piece.seat_height


def _place_along_walls(rng: np.random.Generator, layout: Layout, label: int, width: float, depth: float) -> None:
    """One piece at the left, far or right wall (tables and chairs also away from it), where there is room for it."""
    piece = _MAKERS[label](rng)
    for _ in range(40):
        side = int(rng.integers(3))
        gap = 0.03 if label in (CABINET, SOFA) else uniform(rng, (0.05, 0.7))
        yaw = (0.0, -np.pi / 2, np.pi)[side]
        reach = np.array(piece.size if side != 1 else piece.size[::-1]) / 2
        if side == 1:
            centre = np.array([uniform(rng, (-width / 2, width / 2)), depth - gap - reach[1]])
        else:
            across = width / 2 - gap - reach[0]
            centre = np.array([-across if side == 0 else across, uniform(rng, (0.8, depth))])
        if _fits(layout, centre - reach, centre + reach, width, depth):
            turned = yaw + (uniform(rng, (-0.15, 0.15)) if label in (CHAIR, TABLE) else 0.0)
            layout.solids.append(Solid(piece.mesh.moved((*centre, 0.0), turned), label))
            layout.footprints.append((centre - reach, centre + reach))
            return


def _fits(layout: Layout, low: Array, high: Array, width: float, depth: float) -> bool:
    """Whether a footprint stays in the room, off the other ones, off the free floor and out of the line of sight."""
    if np.any(low < [-width / 2 + 0.01, 0.01]) or np.any(high > [width / 2 - 0.01, depth - 0.01]):
        return False
    taken = [*layout.footprints, (layout.free_low - 0.15, layout.free_high + 0.15)]
    if any(np.all(low < other_high + 0.05) and np.all(other_low - 0.05 < high) for other_low, other_high in taken):
        return False
    camera = layout.T_room_camera[:2, 3]
    share = np.linspace(0.0, 1.0, 12)[:, None]
    for corner in ((layout.free_low), (layout.free_low[0], layout.free_high[1]), (layout.free_high),
                   (layout.free_high[0], layout.free_low[1])):  # fmt: skip
        sight = camera + share * (np.asarray(corner) - camera)
        if np.any(np.all((sight > low - 0.1) & (sight < high + 0.1), axis=1)):
            return False
    return True
