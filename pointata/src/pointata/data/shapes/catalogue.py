"""Simulated shapes with a class: furniture, people, things of the street, and solids, all of random proportions."""

from collections.abc import Callable

import numpy as np

from pointata.data.simulator import furniture, motions, scenery
from pointata.data.simulator.shapes import (
    Mesh,
    box,
    capsule,
    cone,
    cylinder,
    ellipsoid,
    frustum,
    merge,
    rotation_x,
    rotation_y,
    torus,
)
from pointata.data.simulator.skeleton import Person
from pointata.data.simulator.splits import Split, random_stream, ranges_of, uniform

Maker = Callable[[np.random.Generator, Split], Mesh]


def _solid(build: Callable[[np.random.Generator], Mesh]) -> Maker:
    """Solids have no preferred orientation: each is turned at random."""

    def make(rng: np.random.Generator, split: Split) -> Mesh:
        mesh = build(rng)
        tip = rotation_x(uniform(rng, (0, 2 * np.pi))) @ rotation_y(uniform(rng, (0, 2 * np.pi)))
        return Mesh(mesh.vertices @ tip.T, mesh.faces)

    return make


def _upright(build: Callable[[np.random.Generator], Mesh]) -> Maker:
    return lambda rng, split: build(rng)


def _person(posture: str) -> Maker:
    """A body of the split in one of the postures "upright", "bent", "seated" and "lying"."""

    def make(rng: np.random.Generator, split: Split) -> Mesh:
        ranges = ranges_of(split)
        body = motions.draw_body(rng, ranges)
        style = motions.draw_style(rng, 1.0, uniform(rng, ranges.amplitude))
        time, kind = rng.uniform(0.5, 4.0, 1), rng.random()
        if posture == "seated":
            poses = motions.seated(style, body, uniform(rng, (0.38, 0.5)))
        elif posture == "lying":
            poses = motions.lying(style, int(rng.integers(4)))
        elif posture == "bent":
            poses = (motions.bend if kind < 0.5 else motions.pick_up)(np.array([uniform(rng, (1.0, 1.6))]), style)
        elif kind < 0.5:
            poses = motions.gait(rng.uniform(0, 2 * np.pi, 1), rng.uniform(0.3, 0.8, 1), style)
        else:
            poses = (motions.stand if kind < 0.75 else motions.wave)(time, style)
        person = Person(body)
        return person.mesh(person.place(poses), 0)

    return make


def _corner(rng: np.random.Generator) -> Mesh:
    """Floor and one to three walls, as a sensor indoors always sees them."""
    x, y, height = uniform(rng, (0.5, 1.5)), uniform(rng, (0.5, 1.5)), uniform(rng, (0.4, 1.5))
    walls = [box((-x, y, 0), (x, y + 0.02, height)), box((-x - 0.02, -y, 0), (-x, y, height))]
    walls.append(box((x, -y, 0), (x + 0.02, y, height)))
    return merge([box((-x, -y, -0.02), (x, y, 0)), *walls[: int(rng.integers(1, 4))]])


def _stairs(rng: np.random.Generator) -> Mesh:
    rise, tread, half = uniform(rng, (0.14, 0.2)), uniform(rng, (0.24, 0.34)), uniform(rng, (0.4, 1.4))
    steps = range(1, int(rng.integers(4, 10)))
    return merge([box(((step - 1) * tread, -half, 0), (step * tread, half, step * rise)) for step in steps])


def _pole(rng: np.random.Generator) -> Mesh:
    """A lamp post with its arm, or a traffic sign."""
    height, radius = uniform(rng, (2.2, 6.0)), uniform(rng, (0.04, 0.13))
    if rng.random() < 0.5:
        arm = box((-0.05, 0, height - 0.1), (0.05, uniform(rng, (0.8, 2.0)), height))
        return merge([cylinder(radius, height), arm, cylinder(2 * radius, 0.6)])
    size = uniform(rng, (0.25, 0.45))
    return merge([cylinder(radius, height, 8), box((-0.05, -size, height - 2 * size), (-0.03, size, height))])


def _house(rng: np.random.Generator) -> Mesh:
    return scenery.house(rng, uniform(rng, (6, 20)), uniform(rng, (6, 12)), uniform(rng, (4, 16)))


def _sizes(rng: np.random.Generator) -> list[float]:
    return [float(size) for size in rng.uniform(0.3, 1.0, 3)]


#: Maker of each class.
MAKERS: dict[str, Maker] = {
    "chair": _upright(lambda rng: furniture.chair(rng).mesh),
    "table": _upright(lambda rng: furniture.table(rng).mesh),
    "sofa": _upright(lambda rng: furniture.sofa(rng).mesh),
    "cabinet": _upright(lambda rng: furniture.cabinet(rng).mesh),
    "person upright": _person("upright"),
    "person bent": _person("bent"),
    "person seated": _person("seated"),
    "person lying": _person("lying"),
    "car": _upright(scenery.car),
    "house": _upright(_house),
    "tree": _upright(lambda rng: merge(scenery.tree(rng))),
    "pole": _upright(_pole),
    "stairs": _upright(_stairs),
    "corner": _upright(_corner),
    "box": _solid(lambda rng: box((0, 0, 0), _sizes(rng))),
    "ellipsoid": _solid(lambda rng: ellipsoid(_sizes(rng), 24, 15)),
    "cylinder": _solid(lambda rng: cylinder(uniform(rng, (0.15, 0.7)), 1.0, 24)),
    "cone": _solid(lambda rng: cone(uniform(rng, (0.2, 0.8)), 1.0, 24)),
    "torus": _solid(lambda rng: torus(1.0, uniform(rng, (0.1, 0.45)))),
    "capsule": _solid(lambda rng: capsule(4.0 * rng.random(), 1.0, uniform(rng, (0.2, 1.0)), 20)),
    "frustum": _solid(lambda rng: frustum((0.8, _sizes(rng)[0]), (0.3, 0.3 * _sizes(rng)[1]), (0, 2 * _sizes(rng)[2]))),
}


def make_shape(number: int, seed: int, split: Split) -> tuple[Mesh, int]:
    """Shape `number` of a split and its class id; classes take turns. Splits never share random numbers."""
    label = number % len(MAKERS)
    rng = random_stream(seed, split, "shapes", number)
    return list(MAKERS.values())[label](rng, split), label
