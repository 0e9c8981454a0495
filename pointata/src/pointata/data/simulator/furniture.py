"""Furniture of random size. Every piece stands on z = 0 around the origin, its front towards +x."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pointata.data.simulator.shapes import Mesh, box, cylinder, merge, rotation_y
from pointata.data.simulator.splits import uniform


class Piece(NamedTuple):
    """A piece of furniture.

    Attributes:
        mesh: its triangles.
        size: (depth along x, width along y) of its footprint, metres.
        seat_height: metres; 0 where nobody sits.
    """

    mesh: Mesh
    size: tuple[float, float]
    seat_height: float = 0.0


def table(rng: np.random.Generator) -> Piece:
    """A dining or coffee table, round on one leg or square on four, with a few things on it."""
    high = rng.random() < 0.75
    height = uniform(rng, (0.70, 0.78)) if high else uniform(rng, (0.42, 0.50))
    depth, width, thick = uniform(rng, (0.6, 0.95)), uniform(rng, (0.9, 1.7)), uniform(rng, (0.025, 0.05))
    if rng.random() < 0.25:
        width = depth = uniform(rng, (0.8, 1.2))
        parts = [
            cylinder(depth / 2, thick, 24).moved((0, 0, height - thick)),
            cylinder(0.05, height - thick).moved((0, 0, 0)),
            cylinder(0.28, 0.03).moved((0, 0, 0)),
        ]
    else:
        parts = [box((-depth / 2, -width / 2, height - thick), (depth / 2, width / 2, height))]
        leg, x, y = uniform(rng, (0.02, 0.04)), depth / 2 - 0.06, width / 2 - 0.06
        parts += [box((i - leg, j - leg, 0), (i + leg, j + leg, height - thick)) for i in (-x, x) for j in (-y, y)]
    for _ in range(int(rng.integers(0, 4))):
        where = (uniform(rng, (-0.25, 0.25)) * depth, uniform(rng, (-0.3, 0.3)) * width, height)
        if rng.random() < 0.5:
            parts.append(cylinder(uniform(rng, (0.03, 0.07)), uniform(rng, (0.08, 0.25))).moved(where))
        else:
            size = (uniform(rng, (0.06, 0.12)), uniform(rng, (0.08, 0.16)), uniform(rng, (0.02, 0.3)))
            parts.append(box((-size[0], -size[1], 0), size).moved(where, uniform(rng, (0, np.pi))))
    return Piece(merge(parts), (depth, width))


def chair(rng: np.random.Generator) -> Piece:
    """A chair with four legs and an upright back, sometimes with arm rests."""
    depth, width, seat = uniform(rng, (0.40, 0.50)), uniform(rng, (0.40, 0.52)), uniform(rng, (0.42, 0.48))
    back, leg = uniform(rng, (0.38, 0.55)), uniform(rng, (0.015, 0.025))
    x, y = depth / 2, width / 2
    parts = [box((-x, -y, seat - uniform(rng, (0.03, 0.07))), (x, y, seat))]
    parts += [
        box((i - leg, j - leg, 0), (i + leg, j + leg, seat)) for i in (-x + leg, x - leg) for j in (-y + leg, y - leg)
    ]
    rest = box((-0.02, -y, 0), (0.02, y, back)) if rng.random() < 0.6 else _slats(y, back)
    leaned = Mesh(rest.vertices @ rotation_y(-uniform(rng, (0.05, 0.2))).T, rest.faces)
    parts.append(leaned.moved((-x + 0.02, 0, seat)))
    if rng.random() < 0.25:
        for side in (-y, y):
            parts.append(box((-x, side - 0.02, seat + 0.18), (x - 0.08, side + 0.02, seat + 0.22)))
            parts.append(box((x - 0.14, side - 0.02, seat), (x - 0.10, side + 0.02, seat + 0.18)))
    return Piece(merge(parts), (depth, width), seat)


def _slats(half_width: float, height: float) -> Mesh:
    """Back of a chair made of bars."""
    bars = [box((-0.015, y - 0.02, 0), (0.015, y + 0.02, height)) for y in np.linspace(-half_width, half_width, 5)]
    return merge([*bars, box((-0.015, -half_width, height - 0.08), (0.015, half_width, height))])


def sofa(rng: np.random.Generator) -> Piece:
    """An armchair or sofa: a deep base down to the floor, cushions, a thick back and arms."""
    places = int(rng.integers(1, 4))
    arm, back = uniform(rng, (0.14, 0.24)), uniform(rng, (0.18, 0.28))
    width = places * uniform(rng, (0.60, 0.70)) + 2 * arm
    depth, seat = uniform(rng, (0.80, 0.95)), uniform(rng, (0.38, 0.45))
    x, y = depth / 2, width / 2
    parts = [
        box((-x, -y, 0.05), (x - 0.03, y, seat - 0.12)),
        box((-x, -y, 0.05), (-x + back, y, seat + uniform(rng, (0.32, 0.48)))),
    ]
    rest = seat + uniform(rng, (0.15, 0.24))
    parts += [box((-x, s * (y - arm / 2) - arm / 2, 0.05), (x, s * (y - arm / 2) + arm / 2, rest)) for s in (-1, 1)]
    inner = width - 2 * arm
    for index in range(places):
        start = -inner / 2 + index * inner / places
        parts.append(box((-x + back, start + 0.01, seat - 0.12), (x, start + inner / places - 0.01, seat)))
    return Piece(merge(parts), (depth, width), seat)


def cabinet(rng: np.random.Generator) -> Piece:
    """A closed cupboard, a chest of drawers, or an open shelf with books."""
    kind = rng.random()
    depth, width = uniform(rng, (0.30, 0.60)), uniform(rng, (0.6, 1.6))
    height = uniform(rng, (0.75, 1.1)) if kind < 0.35 else uniform(rng, (1.5, 2.2))
    x, y = depth / 2, width / 2
    if kind < 0.7:
        parts = [box((-x, -y, 0), (x, y, height))]
        doors = int(rng.integers(2, 5))
        for index in range(doors):
            start = -y + index * width / doors
            parts.append(box((x, start + 0.01, 0.08), (x + 0.02, start + width / doors - 0.01, height - 0.03)))
            parts.append(box((x + 0.02, start + 0.05, 0.5 * height), (x + 0.045, start + 0.07, 0.5 * height + 0.12)))
        return Piece(merge(parts), (depth + 0.05, width))
    parts = [box((-x, -y, 0), (-x + 0.02, y, height))]
    parts += [box((-x, j - 0.01, 0), (x, j + 0.01, height)) for j in (-y, y)]
    boards = np.linspace(0.05, height, int(rng.integers(4, 7)))
    parts += [box((-x, -y, z - 0.02), (x, y, z)) for z in boards]
    for low, high in pairwise(boards.tolist()):
        start, end = -y + 0.02, -y + 0.02 + uniform(rng, (0.2, 0.95)) * (width - 0.04)
        while start < end:
            thick = uniform(rng, (0.05, 0.15))
            top = low + uniform(rng, (0.55, 0.85)) * (high - low)
            parts.append(box((-x + 0.02, start, low), (x - uniform(rng, (0.02, 0.12)), min(start + thick, end), top)))
            start += thick
    return Piece(merge(parts), (depth, width))
