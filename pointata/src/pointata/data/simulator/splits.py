"""What differs between training and test: random streams, people, ways of moving, scenes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pointata.errors import ConfigError

Split = Literal["train", "test"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """Uniform ranges (low, high) from which a split draws.

    Attributes:
        height: body height, metres.
        build: width of the body relative to the average.
        clothing: thickness of the clothes, metres.
        tempo: speed of motions relative to the average.
        amplitude: size of motions relative to the average.
        room_width: metres.
        room_depth: metres.
        road_width: metres, both lanes together.
        curvature: of the road, 1/m, either side.
        street_speed: of the ego vehicle, m/s.
        building_height: metres.
    """

    height: Range
    build: Range
    clothing: Range
    tempo: Range
    amplitude: Range
    room_width: Range
    room_depth: Range
    road_width: Range
    curvature: Range
    street_speed: Range
    building_height: Range


RANGES = {
    "train": Ranges(
        height=(1.52, 1.88),
        build=(0.88, 1.14),
        clothing=(0.0, 0.02),
        tempo=(0.75, 1.25),
        amplitude=(0.8, 1.1),
        room_width=(4.6, 6.6),
        room_depth=(4.8, 6.6),
        road_width=(7.0, 9.5),
        curvature=(-0.004, 0.004),
        street_speed=(3.0, 10.0),
        building_height=(5.0, 16.0),
    ),
    "test": Ranges(
        height=(1.57, 1.94),
        build=(0.92, 1.18),
        clothing=(0.005, 0.025),
        tempo=(0.8, 1.3),
        amplitude=(0.85, 1.15),
        room_width=(5.0, 7.0),
        room_depth=(5.0, 7.0),
        road_width=(7.5, 10.0),
        curvature=(-0.005, 0.005),
        street_speed=(4.0, 12.0),
        building_height=(6.0, 18.0),
    ),
}


def uniform(rng: np.random.Generator, limits: Range) -> float:
    """One uniform draw between `limits`."""
    return float(rng.uniform(*limits))


def ranges_of(split: str) -> Ranges:
    """Ranges of a split.

    Raises:
        ConfigError: there is no such split.
    """
    if split not in RANGES:
        raise ConfigError(f"The simulator has the splits {', '.join(RANGES)}; got split={split!r}")
    return RANGES[split]


def random_stream(seed: int, split: str, world: str, purpose: int) -> np.random.Generator:
    """A generator of its own for each (seed, split, world, purpose), so that train and test never share numbers."""
    return np.random.default_rng([seed, list(RANGES).index(split), sum(map(ord, world)), purpose])


def check_common(seed: int, split: str, frames: int, rate_hz: float) -> None:
    """Refuse settings that no recording can have.

    Raises:
        ConfigError: says which setting is out of range.
    """
    ranges_of(split)
    if seed < 0:
        raise ConfigError(f"The simulator's seed must be 0 or more, got {seed}")
    if frames < 1:
        raise ConfigError(f"A simulated recording needs at least 1 frame, got frames={frames}")
    if not 0.5 <= rate_hz <= 100.0:
        raise ConfigError(f"The simulator's frame rate must be 0.5 to 100 Hz, got rate_hz={rate_hz}")
