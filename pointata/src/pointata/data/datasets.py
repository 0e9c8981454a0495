"""The data sets by name: `open_dataset("mars:~/data/mars")`, and `verify`, which reads a little of every video."""

import inspect
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pointata.classes import UNLABELLED
from pointata.data.dataset import Dataset, Video
from pointata.errors import DataError, PointataError
from pointata.frame import LabelledFrame


@dataclass(frozen=True)
class _Known:
    """A function that opens a data set, named by its module, and what it expects to find."""

    module: str
    function: str
    layout: str


_KNOWN = {
    "msr-action3d": _Known(
        "formats.msr_action3d", "msr_action3d", "a folder of a##_s##_e##_sdepth.bin, or of such .npz"
    ),
    "ntu-rgbd": _Known(
        "formats.ntu_rgbd", "ntu_rgbd", "a folder of S###C###P###R###A###.npz; ?stride=2 for half the frames"
    ),
    "hoi4d": _Known("formats.hoi4d", "hoi4d", "a folder of train*.h5 and test*.h5 (action segmentation)"),
    "synthia4d": _Known("formats.synthia4d", "synthia4d", "a folder of SYNTHIA-SEQS-##-NAME-######.npz"),
    "semantic-kitti": _Known(
        "formats.semantic_kitti", "semantic_kitti", "the folder above sequences/##, or one sequence"
    ),
    "kitti-raw": _Known(
        "formats.kitti_raw", "kitti_raw", "a drive (with velodyne_points/data) or a folder of drives or dates"
    ),
    "mars": _Known("formats.mars", "mars", "a folder with subject#/radar_data#.mat, there or below"),
    "sim": _Known("formats.simulation", "simulated", "room or street, as in sim:room?recordings=20&frames=100"),
    "recordings": _Known(
        "formats.own_recordings", "own_recordings", "a folder of your own recordings with their manifest"
    ),
}


def open_dataset(spec: str) -> Dataset:
    """Open a data set.

    Args:
        spec: "NAME:PATH", as "mars:~/data/mars"; options of the data set's function, which are whole numbers, may
            follow as in "ntu-rgbd:/data/ntu?stride=2" and "sim:room?recordings=20&frames=100".

    Raises:
        DataError: no such name, path or option, or the data set is not as it should be.
    """
    name, _, rest = spec.partition(":")
    target, _, query = rest.partition("?")
    if name not in _KNOWN or not target:
        known = "\n".join(f"  {key}: {entry.layout}" for key, entry in _KNOWN.items())
        raise DataError(f"{spec!r} names no data set; give NAME:PATH with one of\n{known}")
    entry = _KNOWN[name]
    if name != "sim" and not Path(target).expanduser().exists():
        raise DataError(f"{target} does not exist; {name} needs {entry.layout}")
    opener: Any = getattr(import_module(f"pointata.data.{entry.module}"), entry.function)
    options = _options(spec, query, list(inspect.signature(opener).parameters)[1:])
    dataset: Dataset = opener(target if name == "sim" else Path(target).expanduser(), **options)
    return dataset


def _options(spec: str, query: str, known: list[str]) -> dict[str, int]:
    """The options after the question mark."""
    options = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in known:
            raise DataError(f"{spec}: unknown option {name}; known: {', '.join(known) or 'none'}")
        try:
            options[name] = int(value)
        except ValueError as error:
            raise DataError(f"{spec}: {name} must be a whole number, got {value!r}") from error
    return options


def verify(dataset: Dataset) -> list[str]:
    """Read the first frame of every video; a sentence for each that cannot be used, none where all is well."""
    problems = []
    for video in dataset.videos:
        try:
            first = next(iter(video.source()), None)
        except PointataError as error:
            problems.append(f"{video.name}: {error}")
            continue
        problem = "it has no frame" if first is None else _mismatch(dataset, video, first)
        if problem:
            problems.append(f"{video.name}: {problem}")
    return problems


def _mismatch(dataset: Dataset, video: Video, first: LabelledFrame) -> str:
    """What of the first frame contradicts the set's description; "" if nothing does."""
    missing = [name for name in dataset.features if name not in first.frame.features]
    if missing:
        return f"its points lack {', '.join(missing)}"
    heads = {name: len(classes) for name, classes in dataset.heads.items()}
    actions = [action for action in (video.action, first.action) if action is not None]
    if any(action >= max(heads.get("action", 0), heads.get("segments", 0)) for action in actions):
        return f"its action {max(actions)} is not among the classes"
    if first.labels is not None:
        wrong = np.setdiff1d(first.labels, [*range(heads.get("semantic", 0)), UNLABELLED])
        if len(wrong):
            return f"its point labels {wrong.tolist()} are not among the classes"
    return ""
