"""Recordings sampled once and kept on disk, so that training reads points, not sensors."""

import hashlib
import json
import logging
import uuid
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.errors import DataError, PointataError, TooFewPointsError
from pointata.frame import LabelledFrame
from pointata.paths import check_output_folder, fingerprint
from pointata.preprocessing.sampling import SamplingConfig, sample_frame
from pointata.training.progress import track

_log = logging.getLogger(__name__)

#: Folder of the sampled recordings unless told otherwise.
CACHE = Path("build/cache")
#: Change when the meaning of a cached file changes.
_VERSION = 4
_LABELS = "labels_"


@dataclass(frozen=True)
class SampledRecording:
    """A recording of T frames of P sampled points.

    Attributes:
        points: (T, P, 3) float32, as in `SampledFrame`.
        labels: (T, P) uint8, 255 = unlabelled, by task that scores points; of those that any frame has labels for.
        actions: (T,) int64, -1 where unknown.
        origins: (T, 3) float64.
        stamps: (T,) float64, seconds from the first frame.
        features: (T, P, F) float32 channels besides x, y, z; F may be 0.
    """

    points: NDArray[np.float32]
    labels: Mapping[str, NDArray[np.uint8]]
    actions: NDArray[np.int64]
    origins: NDArray[np.float64]
    stamps: NDArray[np.float64]
    features: NDArray[np.float32]

    def labels_of(self, task: str) -> NDArray[np.uint8]:
        """(T, P) labels for a task; all are unlabelled where it has none."""
        unlabelled = np.full(self.points.shape[:2], UNLABELLED, dtype=np.uint8)
        return self.labels.get(task, unlabelled)


def sample_recording(
    frames: Iterable[LabelledFrame], sampling: SamplingConfig, channels: Sequence[str] = ()
) -> SampledRecording:
    """Sample every frame of a recording; frames without enough usable points are left out.

    Raises:
        DataError: no frame can be used, or one lacks a channel.
    """
    points, labels, actions, origins, stamps, features = [], [], [], [], [], []
    for item in frames:
        try:
            sampled = sample_frame(item.frame, sampling, channels)
        except TooFewPointsError:
            continue
        points.append(sampled.points)
        features.append(sampled.features)
        labels.append({task: of_task[sampled.index] for task, of_task in item.point_labels.items()})
        actions.append(-1 if item.action is None else item.action)
        origins.append(sampled.origin)
        stamps.append(sampled.stamp_s)
    if not points:
        raise DataError("no frame of the recording has enough points within range: check min_range_m and max_range_m")
    times = np.array(stamps) - stamps[0]
    unlabelled = np.full(len(points[0]), UNLABELLED, dtype=np.uint8)
    tasks = dict.fromkeys(task for of_frame in labels for task in of_frame)
    by_task = {task: np.stack([of_frame.get(task, unlabelled) for of_frame in labels]) for task in tasks}
    return SampledRecording(np.stack(points), by_task, np.array(actions), np.stack(origins), times, np.stack(features))


def _what(source: Callable[[], Iterable[LabelledFrame]]) -> str:
    """What a source reads, for messages: the first of its arguments that says where."""
    given = source.args if isinstance(source, partial) else ()
    return next((str(argument) for argument in given if isinstance(argument, str | Path)), "a recording")


def _build(
    path: Path, sampling: SamplingConfig, source: Callable[[], Iterable[LabelledFrame]], channels: Sequence[str]
) -> None:
    try:
        recording = sample_recording(source(), sampling, channels)
    except PointataError as error:
        raise DataError(f"{_what(source)}: {error}") from error
    temporary = path.with_suffix(f".{uuid.uuid4().hex[:8]}.partial.npz")  # another run may be making the same file
    arrays = {**vars(recording), **{f"{_LABELS}{task}": labels for task, labels in recording.labels.items()}}
    del arrays["labels"]
    np.savez(temporary, **arrays)
    temporary.replace(path)


def _build_one(job: tuple[Path, SamplingConfig, Callable[[], Iterable[LabelledFrame]], Sequence[str]]) -> Path:
    _build(*job)
    return job[0]


def cached_recordings(
    folder: Path,
    sources: Sequence[partial[Iterable[LabelledFrame]]],
    sampling: SamplingConfig,
    workers: int,
    channels: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Files of the sampled recordings, those that are missing or cut off made first.

    Args:
        folder: where they are kept; a file's name is a fingerprint of its source and of the sampling.
        sources: picklable partials that open a recording.
        sampling: how frames are sampled; its point neighbours are found later, when clips are drawn.
        workers: processes.
        channels: features that are kept beside the points.
        progress: called with (made, to make).
    """
    check_output_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{_fingerprint(source, sampling, channels)}.npz" for source in sources]
    jobs = [(path, sampling, source, tuple(channels)) for path, source in zip(paths, sources, strict=True)]
    todo = [job for job in jobs if not zipfile.is_zipfile(job[0])]  # a file that was cut off lacks its directory
    if todo:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            made = track(pool.map(_build_one, todo), "sampling recordings", len(todo))
            for done, _ in enumerate(made, start=1):
                progress(done, len(todo))
    return paths


def log_progress(done: int, total: int) -> None:
    """Say in the log how far sampling is: every tenth recording, and the last."""
    if done % 10 == 0 or done == total:
        _log.info("sampled %d of %d recordings", done, total)


def _identity(argument: Any) -> Any:
    """An argument as it is; a file or folder with its version, so that a changed recording is sampled again."""
    if isinstance(argument, (tuple, list)):
        return [_identity(part) for part in argument]
    return [str(argument), fingerprint(argument)] if isinstance(argument, Path) else argument


def _fingerprint(source: partial[Iterable[LabelledFrame]], sampling: SamplingConfig, channels: Sequence[str]) -> str:
    description: dict[str, Any] = {
        "version": _VERSION,
        "source": source.func.__qualname__ if hasattr(source.func, "__qualname__") else str(source.func),
        "arguments": [_identity(source.args), {name: _identity(value) for name, value in source.keywords.items()}],
        "sampling": sampling.to_dict(),
    }
    if channels:
        description["channels"] = list(channels)
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()[:20]


def load_recording(path: Path) -> SampledRecording:
    """Read a file of `cached_recordings`.

    Raises:
        DataError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        labels = {name.removeprefix(_LABELS): arrays.pop(name) for name in tuple(arrays) if name.startswith(_LABELS)}
        return SampledRecording(labels=labels, **arrays)
    except Exception as error:  # damaged bytes lead zip, header and array readers to errors of any kind
        raise DataError(f"{path} is damaged ({error}): remove it, it will be made again") from error
