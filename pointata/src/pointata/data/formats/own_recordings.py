"""The user's own recordings as training data: a folder with a manifest, no code; see docs/own_recordings.md."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.dataset import Dataset, Video
from pointata.data.files import numbered_files
from pointata.data.formats.npz_file import read_npy
from pointata.data.formats.npz_recording import NpzRecording, label_bytes, npz_recording
from pointata.data.layout import Layout
from pointata.data.manifest.manifest import FILE_NAME, Entry, Manifest, Span, read_manifest
from pointata.data.open import names_dataset, open_recording, takes_option
from pointata.data.recording import IndexedRecording, Recording
from pointata.data.served import served_frames, stride_of
from pointata.errors import DataError
from pointata.frame import LabelledFrame
from pointata.preprocessing.picking import FramePicker

#: How much slower than the manifest's rate a recording may be, as a factor.
RATE_TOLERANCE = 1.5
#: Frames of fewer points gain by being joined.
SPARSE = 100

_log = logging.getLogger(__name__)


def own_recordings(root: Path) -> Dataset:
    """Open a folder of own recordings.

    Every recording is opened and its first frame read, so that what is wrong shows now and not during training.

    Args:
        root: folder that holds `manifest.yaml`.

    Raises:
        DataError: one sentence that names the manifest's line and entry, or the file, that is wrong.
    """
    manifest = read_manifest(Path(root).expanduser().resolve())
    names = tuple(entry.name for entry in manifest.point_classes)
    videos, found = [], {}
    for entry in manifest.entries:
        try:
            found[entry.name] = _check(entry, manifest, names)
        except DataError as error:
            raise DataError(f"{entry.place}: {error}") from error
        videos.append(_video(entry, manifest, names, found[entry.name].has_poses))
    _require_training_labels(manifest, {name for name, one in found.items() if one.labelled})
    _say_what_merging_would_do(manifest, list(found.values()))
    heads: dict[str, tuple[ClassInfo, ...]] = {}
    if manifest.actions:
        heads |= {"action": manifest.actions, "segments": manifest.actions}
    if manifest.point_classes:
        heads["semantic"] = manifest.point_classes
    heads |= _other_heads(manifest, found)
    return Dataset(
        name=manifest.name,
        videos=tuple(videos),
        heads=heads,
        frame_period_s=manifest.frame_period_s,
        features=manifest.features,
        mirrored=manifest.mirrored,
        merge=manifest.merge,
    )


@dataclass(eq=False)
class OwnRecording(Recording):
    """One recording of a manifest, at the manifest's rate and with the truth that the manifest gives it.

    It is opened when its frames are asked for, and read as they are.

    Attributes:
        path, topic, spans, labels: as in `Entry`.
        features: channels that every frame must have.
        point_classes: names of the classes of the points; without any, point labels are left out.
        frame_period_s, merge: as in `Manifest`.
    """

    path: Path
    topic: str | None
    features: tuple[str, ...]
    spans: tuple[Span, ...]
    labels: Path | None
    point_classes: tuple[str, ...]
    frame_period_s: float
    merge: int

    def __post_init__(self) -> None:
        self.name, self.rate_hz = self.path.stem, 1 / self.frame_period_s

    def __len__(self) -> int:
        """Number of frames, were they as regular as the nominal rate says."""
        recording = _open(self.path, self.topic, self.features)
        return -(-len(recording) // stride_of(recording.rate_hz, self.frame_period_s))

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return served_frames(self._all_frames(), FramePicker(0, self.frame_period_s), self.merge)

    def _all_frames(self) -> Iterator[LabelledFrame]:
        """Those of the sensor, before they are picked to the manifest's rate."""
        recording, spans = _open(self.path, self.topic, self.features), self.spans
        beside = numbered_files(self.labels, "*.npy") if self.labels is not None and self.point_classes else []
        used, start_ns, count = set(), 0, 0
        for count, item in enumerate(recording, start=1):
            self.left_out = recording.left_out
            start_ns = item.frame.stamp_ns if count == 1 else start_ns
            if beside and count > len(beside):
                break
            span = _span_at((item.frame.stamp_ns - start_ns) / 1e9, spans)
            used.add(span)
            yield LabelledFrame(
                item.frame,
                _labels(item, beside[count - 1] if beside else None, self.point_classes),
                None if span is None else spans[span][2],
                item.other_labels,
            )
        if beside and count != len(beside):
            raise DataError(
                f"{self.labels} holds {len(beside)} .npy files, but {self.path} has {len(recording)} readable frames"
            )
        unused = sorted(set(range(len(spans))) - used)
        if unused:
            start, stop, _ = spans[unused[0]]
            raise DataError(f"{self.path} has no frame in the segment from {start:g} to {stop:g} s after its first")


def _open(path: Path, topic: str | None, features: tuple[str, ...]) -> Recording:
    """A recording in numpy files, also where they lie beside the manifest, or in any layout that pointata knows."""
    if topic is not None:
        if not takes_option(path, "topic"):
            raise DataError(f"topic {topic} is given, but {path} is not a bag")
        return open_recording(path, features, topic=topic)
    if not (path / "metadata.yaml").is_file() and (path.suffix == ".npz" or any(path.glob("*.npz"))):
        return npz_recording(path, features)
    if names_dataset(path):
        raise DataError(f"{path} is a data set of its own, which a manifest cannot list: list its recordings")
    return open_recording(path, features)


def _span_at(seconds: float, spans: tuple[Span, ...]) -> int | None:
    """Which span a time since the first frame lies in."""
    return next((index for index, (start, stop, _) in enumerate(spans) if start <= seconds < stop), None)


def _labels(item: LabelledFrame, beside: Path | None, point_classes: tuple[str, ...]) -> NDArray[np.uint8] | None:
    """Labels of the frame's points, from a file of labels where there is one; None without classes."""
    if not point_classes:
        return None
    labels, where = item.labels, f"the frame at {item.frame.stamp_ns} ns"
    if beside is not None:
        try:
            with beside.open("rb") as stream:
                raw = read_npy(stream, beside.stat().st_size)
        except Exception as error:  # as for .npz files
            raise DataError(f"{beside} cannot be read as .npy ({error})") from error
        labels, where = label_bytes(beside, raw, item.frame.source_count)[item.frame.source_index], str(beside)
    if labels is not None:
        wrong = labels[(labels >= len(point_classes)) & (labels != UNLABELLED)]
        if len(wrong):
            raise DataError(
                f"{where} has point label {wrong[0]}, but point_classes are 0 to {len(point_classes) - 1} "
                f"({', '.join(point_classes)}); {UNLABELLED} means unlabelled"
            )
    return labels


class _Found(NamedTuple):
    """What the check of a recording finds.

    Attributes:
        labelled: whether points have labels of the manifest's classes.
        others: classes of further labels of points, by task.
        stride: frames for each that is taken.
        points: points of the first frame.
        has_poses: as of the recording.
    """

    labelled: bool
    others: Mapping[str, tuple[ClassInfo, ...]]
    stride: int
    points: int
    has_poses: bool


def _check(entry: Entry, manifest: Manifest, point_classes: tuple[str, ...]) -> _Found:
    """Open a recording and read what can be read at once."""
    recording = _open(entry.path, entry.topic, manifest.features)
    ratio = manifest.frame_period_s * recording.rate_hz
    if len(recording) > 1 and ratio < 1 / RATE_TOLERANCE:
        raise DataError(
            f"{entry.name} has a frame every {1 / recording.rate_hz:.3g} s, the manifest wants one every "
            f"{manifest.frame_period_s:.3g} s: a recording may be faster (every n-th frame is taken), but not slower"
        )
    _check_spans(entry, recording)
    first = next(iter(recording.frames(0, 1)))
    missing = [name for name in manifest.features if name not in first.frame.features]
    if missing:
        has = ", ".join(first.frame.features) or "none"
        raise DataError(f"{entry.name} has no feature {missing[0]}; it has: {has}")
    labelled = _check_labels(entry, recording, first, point_classes)
    others = recording.other_classes
    if not entry.spans and not labelled and not others:
        mend = "" if manifest.actions or point_classes else "; name at least one of actions and point_classes"
        raise DataError(
            f"{entry.name} has neither an action nor labels of point_classes: nothing to learn from it{mend}"
        )
    stride = stride_of(recording.rate_hz, manifest.frame_period_s)
    return _Found(labelled, others, stride, len(first.frame.points), recording.has_poses)


def _other_heads(manifest: Manifest, found: Mapping[str, _Found]) -> dict[str, tuple[ClassInfo, ...]]:
    """Classes of further labels of points, by task: those of training recordings, or of all where none is for training.

    A head that no training recording has labels for would be trained on nothing.
    """
    training = [entry.name for entry in manifest.entries if entry.split == "train"]
    of_all = {task: classes for one in found.values() for task, classes in one.others.items()}
    taught = of_all.keys() if not training else {task for name in training for task in found[name].others}
    for task in of_all.keys() - taught:
        _log.warning("%s: the labels %s are left out, as no training recording has them", manifest.file, task)
    return {task: classes for task, classes in of_all.items() if task in taught}


def _say_what_merging_would_do(manifest: Manifest, found: Sequence[_Found]) -> None:
    """Frames of sparse recordings that are left out for the manifest's rate could be joined instead."""
    stride, points = min(one.stride for one in found), median(one.points for one in found)
    if manifest.merge == 1 < stride and points < SPARSE:
        _log.info(
            "%s: one frame in %d is taken, of about %d points: `merge: %d` would join them all",
            manifest.file, stride, points, stride,
        )  # fmt: skip


def _check_spans(entry: Entry, recording: Recording) -> None:
    """Refuse segments beyond the end, where the end can be found without reading the whole recording."""
    if not isinstance(recording, IndexedRecording):
        return
    first, last = recording[0].frame, recording[-1].frame
    duration = (last.stamp_ns - first.stamp_ns) / 1e9
    for start, stop, _ in entry.spans:
        if start > duration:
            raise DataError(
                f"the segment from {start:g} to {stop:g} s begins after the last frame of {entry.name}, "
                f"{duration:.3f} s after its first: times are seconds since the first frame"
            )


def _check_labels(entry: Entry, recording: Recording, first: LabelledFrame, point_classes: tuple[str, ...]) -> bool:
    """Whether the points are labelled with the manifest's classes; reads the first frame that is."""
    if not point_classes:
        if entry.labels is not None or (isinstance(recording, NpzRecording) and recording.labelled):
            _log.warning("%s: the point labels are left out, as the manifest has no point_classes", entry.place)
        return False
    if entry.labels is not None:
        files = numbered_files(entry.labels, "*.npy")
        if len(files) != len(recording):
            raise DataError(f"{entry.labels} holds {len(files)} .npy files for {len(recording)} frames: one a frame")
        return _labels(first, files[0], point_classes) is not None
    if isinstance(recording, NpzRecording):
        return bool(recording.labelled) and _labels(recording[recording.labelled[0]], None, point_classes) is not None
    theirs = tuple(known.name for known in recording.classes or ())
    if theirs and theirs != point_classes:
        raise DataError(f"{entry.name} is labelled with {', '.join(theirs)}: point_classes must be these in this order")
    return _labels(first, None, point_classes) is not None


def _video(entry: Entry, manifest: Manifest, point_classes: tuple[str, ...], has_poses: bool) -> Video:
    source = partial(
        OwnRecording,
        entry.path,
        entry.topic,
        manifest.features,
        entry.spans,
        entry.labels,
        point_classes,
        manifest.frame_period_s,
        manifest.merge,
    )
    assert entry.split is not None, "read_manifest fills it in"
    return Video(entry.name, source, entry.subject, entry.split, entry.action, has_poses)


def _require_training_labels(manifest: Manifest, labelled: set[str]) -> None:
    training = [entry for entry in manifest.entries if entry.split == "train"]
    if not training:  # recordings to be measured on
        return
    shown = {action for entry in training for _, _, action in entry.spans}
    if manifest.actions and not shown:
        raise DataError(f"{manifest.file}: actions are named, but no training recording has an action")
    if manifest.point_classes and not any(entry.name in labelled for entry in training):
        raise DataError(f"{manifest.file}: point_classes are named, but no training recording has point labels")
    unseen = [known.name for known in manifest.actions if known.id not in shown]
    if unseen:
        _log.warning("%s: no training recording shows %s", manifest.file, ", ".join(unseen))


DATASET = Layout(
    "recordings",
    f"a folder of your own recordings with their {FILE_NAME} (docs/own_recordings.md)",
    own_recordings,
    lambda spec: (spec.path / FILE_NAME).is_file(),
)
