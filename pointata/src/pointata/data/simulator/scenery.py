"""Houses, trees and cars of random size and shape, built around the origin."""

import numpy as np

from pointata.data.simulator.shapes import Mesh, box, cylinder, frustum, leaves, merge
from pointata.data.simulator.splits import uniform


def house(rng: np.random.Generator, length: float, depth: float, height: float) -> Mesh:
    """A house whose front (towards -y, at y = 0) has windows, a door and perhaps balconies; x from 0 to `length`."""
    parts = [box((0, 0.25, 0), (length, depth, height))]
    storeys = max(int(height / 2.9), 1)
    bays = max(int(length / uniform(rng, (2.4, 4.0))), 1)
    window, balconies = uniform(rng, (0.35, 0.6)), rng.random() < 0.35
    pitch, floor = length / bays, height / storeys
    # The front wall is built of pillars and parapets around the window niches.
    starts = [0.0, *((bay + 0.5 + window / 2) * pitch for bay in range(bays))]
    ends = [*((bay + 0.5 - window / 2) * pitch for bay in range(bays)), length]
    parts += [box((a, 0, 0), (b, 0.25, height)) for a, b in zip(starts, ends, strict=True)]
    for storey in range(storeys):
        parts.append(box((0, 0.02, storey * floor), (length, 0.25, storey * floor + 0.9)))
        parts.append(box((0, 0.02, (storey + 1) * floor - 0.5), (length, 0.25, (storey + 1) * floor)))
        if balconies and storey:
            bay = int(rng.integers(bays))
            low, z = bay * pitch + 0.15 * pitch, storey * floor
            parts.append(box((low, -1.1, z), (low + 0.7 * pitch, 0, z + 0.15)))
            parts.append(box((low, -1.1, z), (low + 0.7 * pitch, -1.05, z + 1.0)))
    if rng.random() < 0.5:
        ridge = height + uniform(rng, (2.0, 4.0))
        roof = frustum((length / 2 + 0.3, depth / 2 + 0.3), (length / 2, 0.1), (height, ridge))
        parts.append(roof.moved((length / 2, depth / 2, 0)))
    return merge(parts)


def tree(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """Trunk and crown, standing on z = 0; together vegetation."""
    height, spread = uniform(rng, (4.5, 9.0)), uniform(rng, (1.4, 2.8))
    bare = uniform(rng, (1.6, 2.5))
    trunk = cylinder(uniform(rng, (0.10, 0.25)), bare + 0.8, 10)
    radii = (spread, spread, (height - bare) / 2)
    crown = leaves(rng, 380, radii, 0.45, 0.35).moved((0, 0, (height + bare) / 2))
    return trunk, crown


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
    for y in (-half - 0.05, half + 0.05):
        parts.append(box((mirror - 0.08, y - 0.1, waist), (mirror + 0.08, y + 0.1, waist + 0.15)))
    return merge(parts)
