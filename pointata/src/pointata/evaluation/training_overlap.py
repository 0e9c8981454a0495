"""Whether a bundle was trained on a recording, as far as its metadata tell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pointata.data.recording import Origin, Recording


@dataclass(frozen=True)
class _Run:
    """One training: on a data set, of which some videos or subjects are named.

    Attributes:
        data_set: its name.
        videos: that were trained on; empty where the bundle does not name them.
        subjects: likewise.
        held_out: subjects that were not trained on; empty where the data set's own split held.
    """

    data_set: str
    videos: frozenset[str]
    subjects: frozenset[str]
    held_out: frozenset[str]

    def overlap(self, recording: Recording) -> str:
        """What part of a recording was trained on; empty if none, or if that is unknown."""
        origin = recording.origin
        if origin is None:
            named = {PurePath(video).stem for video in self.videos}
            return f"a recording named {recording.name}" if recording.name in named else ""
        if origin.data_set != self.data_set:
            return ""
        if origin.video in self.videos:
            return f"recording {origin.video}"
        if origin.subject and origin.subject in self.subjects:
            return f"subject {origin.subject}"
        return "" if self.videos or self.subjects else self._by_split(origin)

    def _by_split(self, origin: Origin) -> str:
        """The same for a bundle that names only whom it was validated on, or that the data set's split held."""
        if self.held_out:
            trained = origin.subject and origin.subject not in self.held_out
            return f"subject {origin.subject}" if trained else ""
        return "the training part of the data set" if origin.split == "train" else ""


@dataclass(frozen=True)
class TrainedOn:
    """The trainings that a bundle went through."""

    runs: tuple[_Run, ...]

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> "TrainedOn":
        """Read a bundle's `training`, as `pointata adapt` and `pointata frame-heads` write it."""
        return cls(tuple(_runs(training)))

    def overlap(self, recording: Recording) -> str:
        """What part of a recording was trained on; empty if none, or if that is unknown."""
        return next((what for run in self.runs if (what := run.overlap(recording))), "")


def _runs(training: Mapping[str, Any]) -> Iterator[_Run]:
    for part in (training, training.get("frame_heads")):
        if not isinstance(part, Mapping) or not isinstance(part.get("data"), str):
            continue
        trained_on = part.get("trained_on")
        named = trained_on if isinstance(trained_on, Mapping) else {}
        data_set = part["data"].replace(" ", "_")  # the oldest bundles wrote it with a space
        videos = _names(named.get("videos")) or _simulated(data_set, part.get("recordings"))
        yield _Run(data_set, videos, _names(named.get("subjects")), _names(part.get("validation")))


def _names(value: Any) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list | tuple) else frozenset()


def _simulated(data_set: str, recordings: Any) -> frozenset[str]:
    """Names of the simulator's training recordings: they follow from how many there are."""
    _, simulated, scene = data_set.partition("simulated_")
    if not simulated or not isinstance(recordings, int):
        return frozenset()
    return frozenset(f"{scene}_train_{seed}" for seed in range(recordings))
