"""Recordings as the node takes them in: picked to the wanted rate, and joined where a sensor is sparse."""

from collections.abc import Iterable, Iterator

from pointata.data.recording import Recording
from pointata.frame import LabelledFrame
from pointata.preprocessing.merging import RecentClouds, merge_labelled
from pointata.preprocessing.picking import FramePicker

#: A longer pause separates the frames before it from those after it, seconds; the node's `window.max_gap_s`.
MAX_GAP_S = 1.0


def served_frames(items: Iterable[LabelledFrame], picker: FramePicker, merge: int) -> Iterator[LabelledFrame]:
    """The frames that the model sees of all that a sensor gives: every n-th one, joined with those before it.

    Args:
        items: all frames.
        picker: which of them are taken.
        merge: frames that are joined into one, counted from the picked one back.
    """
    recent: RecentClouds[LabelledFrame] = RecentClouds(merge, MAX_GAP_S)
    for item in items:
        frame = item.frame
        together = recent.add(item, frame.stamp_ns, (frame.frame_id, tuple(frame.features)))
        if picker.pick(frame.stamp_ns):
            yield merge_labelled(together)


class ServedRecording(Recording):
    """A recording as a node with a bundle takes it in."""

    def __init__(self, recording: Recording, frame_period_s: float, merge: int) -> None:
        """Take a recording.

        Args:
            recording: all frames.
            frame_period_s: wanted time between frames, seconds.
            merge: frames that are joined into one.
        """
        self._recording, self._frame_period_s, self._merge = recording, frame_period_s, merge
        self._stride = stride_of(recording.rate_hz, frame_period_s)
        self.name, self.rate_hz = recording.name, recording.rate_hz / self._stride
        self.classes, self.actions, self.action = recording.classes, recording.actions, recording.action
        self.other_classes = recording.other_classes
        self.has_poses, self.origin = recording.has_poses, recording.origin

    def __len__(self) -> int:
        """Number of frames, were they as regular as the nominal rate says."""
        return -(-len(self._recording) // self._stride)

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        for frame in served_frames(self._recording, FramePicker(0, self._frame_period_s), self._merge):
            self.left_out = self._recording.left_out
            yield frame
        self.left_out = self._recording.left_out


def stride_of(rate_hz: float, frame_period_s: float) -> int:
    """Frames of a sensor per frame that is taken of it."""
    return max(1, round(rate_hz * frame_period_s))
