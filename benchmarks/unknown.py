"""What is called unknown: the shipped bundles on recordings like those of their training, and on others.

    python benchmarks/unknown.py DATA [--bundle sim_room mars_actions]

DATA is a folder with mars, seven_scenes and person_rgbd. Prints the tables of docs/results.md: for each
`unknown_score`, the share of right answers that turn unknown, the accuracy that is left (unknown counts as wrong), and
the share of frames called unknown of each foreign recording; then the distances (`Engine.distance`) behind the bundle's
own limit.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointata import DataError, Frame, LabelledFrame
from pointata.data.open import open_dataset, open_recording
from pointata.inference.predictor import Predictor, PredictorOptions
from pointata.system.optional import import_optional

THRESHOLDS = (0.0, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
STEP_NS = 100_000_000
Frames = Callable[[], Iterable[Frame | LabelledFrame]]


@dataclass(frozen=True)
class Answers:
    """Of every frame from `min_frames` on: probability of the reported action, whether it is right, the distance."""

    score: NDArray[np.float64]
    right: NDArray[np.bool_]
    distance: NDArray[np.float64]

    def known(self, threshold: float, limit: float) -> NDArray[np.bool_]:
        """Which are reported as an action; a limit of 0 is none."""
        near = np.ones(len(self.score), bool) if not limit else self.distance <= limit
        return (self.score >= threshold) & near


def answers(predictor: Predictor, recordings: Iterable[Iterable[Frame | LabelledFrame]]) -> Answers:
    """Run recordings, each from an empty window."""
    rows: list[tuple[float, bool, float]] = []
    for recording in recordings:
        predictor.reset()
        for item in recording:
            frame, truth = (item.frame, item.action) if isinstance(item, LabelledFrame) else (item, None)
            try:
                prediction = predictor.step(frame)
            except DataError:  # too few points
                continue
            assert prediction.action is not None
            if prediction.frame_count >= predictor.options.min_frames:
                action = prediction.action
                rows.append((action.score, action.class_id == truth, predictor._engine.distance(0)))
    score, right, distance = (np.array(column) for column in zip(*rows, strict=True))
    return Answers(score, right.astype(bool), distance)


def clutter(spread_m: float, count: int, features: tuple[str, ...] = (), still: bool = False) -> Iterator[Frame]:
    """600 frames of points at random places 2 m before the sensor; if still, the same ones, jittered by 1 cm."""
    rng = np.random.default_rng(0)
    for number in range(600):
        if number == 0 or not still:
            points = rng.uniform(-spread_m, spread_m, (count, 3)) + np.array([2, 0, 0])
        values = {name: np.zeros(count) if still else rng.normal(0, 0.5, count) for name in features}
        yield Frame.from_points(points + rng.normal(0, 0.01, points.shape), stamp_ns=number * STEP_NS, features=values)


def people(folder: Path) -> Iterator[Frame]:
    """A person before a depth camera that stands still, level, 1.2 m high: one image of every four pixels squared."""
    images = import_optional("PIL.Image")
    level = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.2], [0, 0, 0, 1.0]])
    for number, path in enumerate(sorted(folder.glob("*_depth.png"))):
        with images.open(path) as image:
            depth = np.asarray(image)[::4, ::4] * 1e-3
        text = path.with_name(path.name.replace("_depth.png", "_camera.xml")).read_text()
        found = re.search(r"<data>(.*?)</data>", text, re.DOTALL)
        assert found is not None
        (fx, _, cx), (_, fy, cy), _ = np.array(found.group(1).split(), float).reshape(3, 3)
        v, u = (axis * 4 for axis in np.indices(depth.shape))
        seen = depth > 0
        points = np.stack(((u - cx) / fx * depth, (v - cy) / fy * depth, depth), axis=-1)[seen]
        yield Frame.from_points(points, stamp_ns=number * STEP_NS, T_world_sensor=level)


def as_radar(recording: Iterable[LabelledFrame]) -> Iterator[Frame]:
    """Thirty points of each depth image, turned as a radar's, none of which moves."""
    rng = np.random.default_rng(0)
    for item in recording:
        x, y, z = item.frame.points[rng.choice(len(item.frame.points), 30, replace=False)].T
        yield Frame.from_points(
            np.stack((z, -x, -y), axis=1), stamp_ns=item.frame.stamp_ns, features={"doppler": np.zeros(30)}
        )


def rooms(seeds: Iterable[int]) -> Iterator[Iterable[LabelledFrame]]:
    """Simulated rooms of the test split."""
    return (open_recording(f"sim:room?seed={seed}&split=test&frames=150") for seed in seeds)


def subject_4(data: Path) -> list[list[LabelledFrame]]:
    """The nine recordings of MARS that were held out."""
    videos = open_dataset(f"mars:{data / 'mars'}").where(lambda video: video.subject == "4")
    return [list(video.source()) for video in videos]


def shuffled(recordings: list[list[LabelledFrame]]) -> Iterator[Frame]:
    """3,000 frames of all of them in no order, at 10 Hz."""
    frames = [item.frame for recording in recordings for item in recording]
    for number, place in enumerate(np.random.default_rng(0).permutation(len(frames))[:3000]):
        yield replace(frames[place], stamp_ns=number * STEP_NS)


def report(name: str, known: Answers, foreign: dict[str, Answers], limit: float) -> None:
    """Print the tables of one bundle."""
    print(f"\n`{name}`, {len(known.right)} frames of its world\n")
    print(f"| unknown_score | right answers lost | accuracy | wrong answers caught | {' | '.join(foreign)} |")
    print("|---" * (4 + len(foreign)) + "|")
    rows = [(threshold, 0.0) for threshold in THRESHOLDS] + [(PredictorOptions().unknown_score, limit)]
    for threshold, distance in rows:
        kept = known.known(threshold, distance)
        figures = [(~kept)[known.right].mean(), (kept & known.right).mean(), (~kept)[~known.right].mean()]
        figures += [(~other.known(threshold, distance)).mean() for other in foreign.values()]
        print(f"| {threshold:g}{' and distance' if distance else ''} | {' | '.join(f'{f:.3f}' for f in figures)} |")
    for what, of in {"its world": known, **foreign}.items():
        least, middle, most = np.percentile(of.distance, (0, 50, 100))
        print(f"- distance of {what}: {least:.2f} to {most:.2f}, median {middle:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundle", nargs="+", default=["sim_room", "mars_actions"])
    given = parser.parse_args()
    for name in given.bundle:
        predictor = Predictor.load(name, device="cpu", threads=1)
        office = open_recording(str(given.data / "seven_scenes"))
        if name == "sim_room":
            known = answers(predictor, rooms(range(6)))
            foreign = {
                "six other rooms": answers(predictor, rooms(range(6, 12))),
                "an empty office": answers(predictor, [office]),
                "a real person": answers(predictor, [people(given.data / "person_rgbd")]),
                "a street": answers(predictor, [open_recording("sim:street?seed=0&split=test&frames=40")]),
                "clutter": answers(predictor, [clutter(2.0, 3000)]),
            }
        else:
            held_out = subject_4(given.data)
            known = answers(predictor, [[replace(item, action=item.action) for item in r] for r in held_out])
            foreign = {
                "frames shuffled": answers(predictor, [shuffled(held_out)]),
                "clutter": answers(predictor, [clutter(1.0, 30, ("doppler",))]),
                "clutter, still": answers(predictor, [clutter(1.0, 30, ("doppler",), still=True)]),
                "an office": answers(predictor, [as_radar(office)]),
            }
        report(name, known, foreign, predictor.metadata.farthest_window)


if __name__ == "__main__":
    main()
