"""Recordings sampled once and kept on disk, so that training reads points, not sensors."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED
from pointata.frame import LabelledFrame
from pointata.sampling import SamplingConfig, sample_frame

#: Change when the meaning of a cached file changes.
_VERSION = 1


@dataclass(frozen=True)
class SampledRecording:
    """A recording of T frames of P sampled points.

    Attributes:
        points: (T, P, 3) float32, as in `SampledFrame`.
        labels: (T, P) uint8, 255 = unlabelled.
        actions: (T,) int64, -1 where unknown.
        origins: (T, 3) float64.
        stamps: (T,) float64, seconds from the first frame.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.uint8]
    actions: NDArray[np.int64]
    origins: NDArray[np.float64]
    stamps: NDArray[np.float64]


def sample_recording(frames: Iterable[LabelledFrame], sampling: SamplingConfig) -> SampledRecording:
    """Sample every frame of a recording."""
    points, labels, actions, origins, stamps = [], [], [], [], []
    for item in frames:
        sampled = sample_frame(item.frame, sampling)
        points.append(sampled.points)
        unlabelled = np.full(len(sampled.index), UNLABELLED, dtype=np.uint8)
        labels.append(unlabelled if item.labels is None else item.labels[sampled.index])
        actions.append(-1 if item.action is None else item.action)
        origins.append(sampled.origin)
        stamps.append(sampled.stamp_s)
    times = np.array(stamps) - stamps[0]
    return SampledRecording(np.stack(points), np.stack(labels), np.array(actions), np.stack(origins), times)


def _build(path: Path, sampling: SamplingConfig, source: Callable[[], Iterable[LabelledFrame]]) -> None:
    recording = sample_recording(source(), sampling)
    temporary = path.with_suffix(".partial.npz")
    np.savez(temporary, **vars(recording))
    temporary.replace(path)


def _build_one(job: tuple[Path, SamplingConfig, Callable[[], Iterable[LabelledFrame]]]) -> Path:
    _build(*job)
    return job[0]


def cached_recordings(
    folder: Path,
    sources: Sequence[partial[Iterable[LabelledFrame]]],
    sampling: SamplingConfig,
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Files of the sampled recordings, those that are missing made first.

    Args:
        folder: where they are kept; a file's name is a fingerprint of its source and of the sampling.
        sources: picklable partials that open a recording.
        sampling: how frames are sampled; its point neighbours are found later, when clips are drawn.
        workers: processes.
        progress: called with (made, to make).
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{_fingerprint(source, sampling)}.npz" for source in sources]
    todo = [(path, sampling, source) for path, source in zip(paths, sources, strict=True) if not path.exists()]
    if todo:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for done, _ in enumerate(pool.map(_build_one, todo), start=1):
                progress(done, len(todo))
    return paths


def _fingerprint(source: partial[Iterable[LabelledFrame]], sampling: SamplingConfig) -> str:
    description: dict[str, Any] = {
        "version": _VERSION,
        "source": source.func.__qualname__ if hasattr(source.func, "__qualname__") else str(source.func),
        "arguments": [list(source.args), source.keywords],
        "sampling": sampling.to_dict(),
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()[:20]


def load_recording(path: Path) -> SampledRecording:
    """Read a file of `cached_recordings`."""
    with np.load(path) as data:
        return SampledRecording(**{name: data[name] for name in data.files})
