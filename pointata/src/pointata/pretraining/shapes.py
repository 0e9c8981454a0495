"""Point sets of single shapes and single frames, from mesh folders and the simulator."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from pointata.data.shapes.catalogue import MAKERS, make_shape
from pointata.data.shapes.meshes import mesh_files, read_mesh, seen_from, surface_points
from pointata.data.simulator.shapes import Mesh
from pointata.data.simulator.splits import Split
from pointata.errors import DataError
from pointata.preprocessing.point_ops.cpu import sample_indices
from pointata.pretraining.frames import load_frames

_log = logging.getLogger(__name__)

#: What a spec may name, besides a folder of meshes, and its options.
SOURCES: dict[str, dict[str, int]] = {
    "sim:shapes": {"count": 2100},
    "sim:frames": {"rooms": 140, "streets": 100},
}
# Points drawn on a surface for each one that is kept: enough for farthest points to even them out.
_CANDIDATES = 4
# Of a view with fewer points than this, nothing can be told.
_FEWEST_SEEN = 32


@dataclass(frozen=True)
class ShapeSet:
    """Point sets of equal size.

    Attributes:
        points: (S, P, 3) float32, farthest points first. Shapes: in the unit sphere, z up. Frames: origin at the
            sensor, in units of the sampling's scale_m.
        labels: (S,) int64, -1 where unlabelled.
        classes: names of the labels.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)


def load_shapes(spec: str, points: int, seed: int = 0, split: Literal["train", "test", "all"] = "train") -> ShapeSet:
    """Load one source of point sets.

    Args:
        spec: a folder of meshes; "sim:shapes?count=N" for N training shapes (and N / 4 for test); or
            "sim:frames?rooms=N&streets=N" for frames of that many simulated training recordings. Every mesh gives two
            point sets: its whole surface, and the part of it that is seen from one viewpoint.
        points: points P of a set.
        seed: of everything random.
        split: part of the source.

    Raises:
        DataError: no such source or option, or nothing usable in it.
    """
    splits: tuple[Split, ...] = ("train", "test") if split == "all" else (split,)
    if not spec.startswith("sim:"):
        return _from_folder(Path(spec), points, seed, splits)
    name, options = _parsed(spec)
    if name == "sim:frames":
        return ShapeSet(*load_frames(options["rooms"], options["streets"], points, splits))
    sizes = {"train": options["count"], "test": max(options["count"] // 4, len(MAKERS))}
    made = (make_shape(number, seed, part) for part in splits for number in range(sizes[part]))
    return ShapeSet(*_point_sets(made, points, seed), tuple(MAKERS))


def _parsed(spec: str) -> tuple[str, dict[str, int]]:
    parts = urlsplit(spec)
    name = f"{parts.scheme}:{parts.path}"
    if name not in SOURCES:
        raise DataError(f"{spec}: no such source; give a folder of meshes, or one of {', '.join(SOURCES)}")
    options = dict(SOURCES[name])
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in options or not value.isdecimal():
            known = ", ".join(f"{option}={number}" for option, number in SOURCES[name].items())
            raise DataError(f"{spec}: cannot use {key}={value}; {name} takes whole numbers for {known}")
        options[key] = int(value)
    if sum(options.values()) < 1:
        raise DataError(f"{spec}: asks for nothing; give at least one of {', '.join(options)} a value above 0")
    return name, options


def _from_folder(root: Path, points: int, seed: int, splits: tuple[Split, ...]) -> ShapeSet:
    files = mesh_files(root)
    classes = tuple(sorted({file.class_name for file in files if file.class_name}))
    ids = {name: number for number, name in enumerate(classes)} | {"": -1}
    broken: list[str] = []

    def readable() -> Iterable[tuple[Mesh, int]]:
        for file in files:
            if file.split in splits:
                try:
                    yield read_mesh(file.path), ids[file.class_name]
                except DataError as error:
                    broken.append(str(error))

    result = ShapeSet(*_point_sets(readable(), points, seed), classes)
    if broken:
        _log.warning("%d of %d meshes are left out; the first: %s", len(broken), len(files), broken[0])
    if not len(result):
        reason = broken[0] if broken else f"all {len(files)} meshes belong to the other split"
        raise DataError(f"{root} holds no usable mesh for {' and '.join(splits)}: {reason}")
    return result


def _point_sets(
    meshes: Iterable[tuple[Mesh, int]], points: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two point sets of every labelled mesh, whole and partial: (S, P, 3) and labels (S,)."""
    clouds, labels = [], []
    for number, (mesh, label) in enumerate(meshes):
        rng = np.random.default_rng([seed, number])
        surface = surface_points(mesh, _CANDIDATES * points, rng)
        seen = surface[seen_from(mesh, surface, _viewpoint(surface, rng))]
        for cloud in (surface, seen if len(seen) >= _FEWEST_SEEN else surface):
            chosen = _in_unit_sphere(cloud)
            clouds.append(chosen[sample_indices(chosen, points)])
            labels.append(label)
    return np.array(clouds, dtype=np.float32).reshape(-1, points, 3), np.array(labels, dtype=np.int64)


def _viewpoint(surface: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(3,) a place around a shape, mostly a little above it, 1.5 to 4 of its radii away from its middle."""
    middle = (surface.max(axis=0) + surface.min(axis=0)) / 2
    radius = np.linalg.norm(surface - middle, axis=1).max()
    turn, rise = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.8)
    direction = np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
    return np.asarray(middle + direction * radius * rng.uniform(1.5, 4.0))


def _in_unit_sphere(points: NDArray[np.float64]) -> NDArray[np.float32]:
    centred = points - points.mean(axis=0)
    return (centred / np.linalg.norm(centred, axis=1).max()).astype(np.float32)
