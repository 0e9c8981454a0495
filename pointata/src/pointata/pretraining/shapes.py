"""Point sets of single shapes and single frames, from mesh folders and the simulator."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointata.data.shapes.catalogue import MAKERS, make_shape
from pointata.data.shapes.meshes import mesh_files, read_mesh, seen_from, surface_points
from pointata.data.simulator.shapes import Mesh
from pointata.data.simulator.splits import Split
from pointata.data.spec import options_of, parse_spec, typed_options
from pointata.errors import DataError
from pointata.preprocessing.point_ops.cpu import sample_indices
from pointata.pretraining.frames import FrameSettings, load_frames

_log = logging.getLogger(__name__)

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


def load_shapes(
    spec: str,
    points: int,
    seed: int = 0,
    split: Literal["train", "test", "all"] = "train",
    frames: FrameSettings = FrameSettings(),  # noqa: B008  (frozen)
) -> ShapeSet:
    """Load one source of point sets.

    Args:
        spec: a folder of meshes; "sim:shapes?count=N" for N training shapes (and N / 4 for test); or
            "sim:frames?rooms=N&streets=N" for frames of that many simulated training recordings. Every mesh gives two
            point sets: its whole surface, and the part of it that is seen from one viewpoint.
        points: points P of a set.
        seed: of everything random.
        split: part of the source.
        frames: how frames of the simulator are sampled.

    Raises:
        DataError: no such source or option, or nothing usable in it.
    """
    draw = _Draw(points, seed, ("train", "test") if split == "all" else (split,), frames)
    given = parse_spec(spec)
    if given.name != "sim":
        return _from_folder(Path(spec), draw)
    if given.target not in _SIMULATED:
        sources = ", ".join(f"sim:{name}" for name in _SIMULATED)
        raise DataError(f"{spec}: no such source; give a folder of meshes, or one of {sources}")
    make = _SIMULATED[given.target]
    known = options_of(make)
    options = {name: option.default for name, option in known.items()} | typed_options(given, given.options, known)
    if min(options.values()) < 0 or sum(options.values()) < 1:
        raise DataError(f"{spec}: asks for nothing; give at least one of {', '.join(options)} a value above 0")
    return make(draw, **options)


class _Draw(NamedTuple):
    """How a source is drawn from; see `load_shapes`."""

    points: int
    seed: int
    splits: tuple[Split, ...]
    frames: FrameSettings


def _simulated_shapes(draw: _Draw, count: int = 2100) -> ShapeSet:
    sizes = {"train": count, "test": max(count // 4, len(MAKERS))}
    made = (make_shape(number, draw.seed, part) for part in draw.splits for number in range(sizes[part]))
    return ShapeSet(*_point_sets(made, draw), tuple(MAKERS))


def _simulated_frames(draw: _Draw, rooms: int = 140, streets: int = 100) -> ShapeSet:
    return ShapeSet(*load_frames(rooms, streets, draw.points, draw.splits, draw.frames))


#: What a spec may name, besides a folder of meshes.
_SIMULATED: dict[str, Callable[..., ShapeSet]] = {"shapes": _simulated_shapes, "frames": _simulated_frames}


def _from_folder(root: Path, draw: _Draw) -> ShapeSet:
    files = mesh_files(root)
    classes = tuple(sorted({file.class_name for file in files if file.class_name}))
    ids = {name: number for number, name in enumerate(classes)} | {"": -1}
    broken: list[str] = []

    def readable() -> Iterable[tuple[Mesh, int]]:
        for file in files:
            if file.split in draw.splits:
                try:
                    yield read_mesh(file.path), ids[file.class_name]
                except DataError as error:
                    broken.append(str(error))

    result = ShapeSet(*_point_sets(readable(), draw), classes)
    if broken:
        _log.warning("%d of %d meshes are left out; the first: %s", len(broken), len(files), broken[0])
    if not len(result):
        reason = broken[0] if broken else f"all {len(files)} meshes belong to the other split"
        raise DataError(f"{root} holds no usable mesh for {' and '.join(draw.splits)}: {reason}")
    return result


def _point_sets(meshes: Iterable[tuple[Mesh, int]], draw: _Draw) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two point sets of every labelled mesh, whole and partial: (S, P, 3) and labels (S,)."""
    clouds, labels = [], []
    for number, (mesh, label) in enumerate(meshes):
        rng = np.random.default_rng([draw.seed, number])
        surface = surface_points(mesh, _CANDIDATES * draw.points, rng)
        seen = surface[seen_from(mesh, surface, _viewpoint(surface, rng))]
        for cloud in (surface, seen if len(seen) >= _FEWEST_SEEN else surface):
            chosen = _in_unit_sphere(cloud)
            clouds.append(chosen[sample_indices(chosen, draw.points)])
            labels.append(label)
    return np.array(clouds, dtype=np.float32).reshape(-1, draw.points, 3), np.array(labels, dtype=np.int64)


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
