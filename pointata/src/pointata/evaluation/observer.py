"""Who looks on while recordings are measured."""

from pointata.data.recording import Recording
from pointata.errors import PointataError
from pointata.frame import LabelledFrame
from pointata.prediction import Prediction


class Observer:
    """Sees a measurement as it goes on: counts, shows or keeps what it wants, and passes over the rest."""

    def begin(self, recording: Recording) -> None:
        """The frames of a recording follow; the window is empty."""

    def take(self, item: LabelledFrame, prediction: Prediction, step_ms: float) -> None:
        """A frame, what is predicted at it, and the milliseconds that took."""

    def reject(self, item: LabelledFrame, error: PointataError) -> None:
        """A frame that the predictor refused, or had no finite scores for."""

    def end(self, recording: Recording, complete: bool) -> None:
        """The recording is through; not `complete` where Ctrl-C ended it before."""
