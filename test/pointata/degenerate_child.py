"""Gives clouds without a shape to a shipped bundle, in a process of its own: a crash of native code ends it.

    python degenerate_child.py BUNDLE TRIALS CASE [CASE ...]

prints a line for each trial: the case, and "answered" or the sentence of the refusal. BUNDLE "tree" is the neighbour
search by itself, which prints nothing.
"""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pointata import DataError, Frame
from pointata.geometry.neighbours import cpu_nearest
from pointata.inference.predictor import Predictor

Cloud = NDArray[np.float32]
Rng = np.random.Generator


def on_places(places: int, count: int) -> Callable[[Rng], Cloud]:
    """Points drawn from a few places."""
    return lambda rng: rng.uniform(-2, 2, (places, 3)).astype(np.float32)[rng.integers(0, places, count)]


def denormal(rng: Rng) -> Cloud:
    """All different, and all squares of differences are zero in float32."""
    return (rng.uniform(-1, 1, (3000, 3)) * 1e-39).astype(np.float32)


def signed_zeros(rng: Rng) -> Cloud:
    """0.0 and -0.0, one place of eight bit patterns, beside five others."""
    zeros = np.copysign(np.float32(0), rng.uniform(-1, 1, (2000, 3))).astype(np.float32)
    return np.concatenate([zeros + np.array([-1.7, 0, 0], np.float32), zeros, on_places(5, 40)(rng)])


def close(rng: Rng) -> Cloud:
    """Neighbours in float32: 1 m and the numbers next to it."""
    return (1 + rng.integers(0, 4, (3000, 3)) * 2.0**-23).astype(np.float32)


def beside_shape(copies: int, place: tuple[float, float, float]) -> Callable[[Rng], Cloud]:
    """1,500 points of a room, and one place many times."""
    return lambda rng: np.concatenate(
        [rng.uniform(-3, 3, (1500, 3)), np.tile(np.array(place), (copies, 1))]
    ).astype(np.float32)  # fmt: skip


def shapeless(count: int) -> Callable[[Rng], Cloud]:
    """One place left of the sensor."""
    return lambda rng: np.tile(np.array([-1.7, 0.3, 0.2], np.float32), (count, 1))


CASES: dict[str, Callable[[Rng], Cloud]] = {
    "1 point": on_places(1, 1),
    "1 place": on_places(1, 3000),
    "2 places": on_places(2, 3000),
    "3 places": on_places(3, 3000),
    "4 places": on_places(4, 3000),
    "5 points": lambda rng: rng.uniform(-2, 2, (5, 3)).astype(np.float32),
    "17 places": on_places(17, 3000),
    "denormals": denormal,
    "signed zeros": signed_zeros,
    "close": close,
    "130,000 identical": shapeless(130_000),
    "3 million identical": shapeless(3_000_000),
    "1,500 and 130,000 identical": beside_shape(128_500, (-1.7, 0.3, 0.2)),
    "1,500 and 130,000 zeros": beside_shape(128_500, (0.0, 0.0, 0.0)),
    "500 places": on_places(500, 130_000),
    "1,000 places": on_places(1000, 1_000_000),
}


def search(case: str, trials: int) -> None:
    """The neighbour search, as it was called for sampled points: up to 1,024 of them, with repetitions."""
    for seed in range(trials):
        points = np.resize(CASES[case](np.random.default_rng(seed)), (1024, 3))
        cpu_nearest(points, points, 16)


def answer(predictor: Predictor, case: str, trials: int) -> None:
    """A stream of clouds of one kind."""
    predictor.reset()
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        points = CASES[case](rng)
        features = {name: rng.normal(0, 1, len(points)) for name in predictor.metadata.feature_names}
        try:
            prediction = predictor.step(Frame.from_points(points, stamp_ns=seed * 10**8, features=features))
        except DataError as error:
            print(f"{case}: {error}", flush=True)
            continue
        action, semantic = prediction.action, prediction.semantic
        assert action is None or np.isfinite(action.scores).all()
        assert semantic is None or np.isfinite(semantic.scores).all()
        print(f"{case}: answered", flush=True)


def main(bundle: str, trials: int, cases: list[str]) -> None:
    """All trials of all cases."""
    predictor = None if bundle == "tree" else Predictor.load(bundle, device="cpu")
    for case in cases:
        if predictor is None:
            search(case, trials)
        else:
            answer(predictor, case, trials)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
