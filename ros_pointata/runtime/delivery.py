"""Last stage of a lane, on the model's thread: predictions -> outputs, and the account of what became of each cloud."""

import traceback
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from pointata import DataError, Prediction
from pointata.data.pointcloud2 import DecodedCloud
from pointata.text import cut
from ros_pointata.io.messages import UNKNOWN
from ros_pointata.model import ModelMetadata
from ros_pointata.monitoring.continuity import Continuity
from ros_pointata.monitoring.health import LONGEST, Health
from ros_pointata.runtime.clock import StageClock

#: Least time between two lines of the log about actions, seconds.
_QUIET_S = 1.0


class Sink(Protocol):
    """Where predictions go; `io.publishers.Outputs` in the node."""

    @property
    def is_open(self) -> bool:
        """False once ROS is shutting down or the outputs are gone, when a failure to publish need not be reported."""
        ...

    def publish(self, cloud: DecodedCloud, prediction: Prediction) -> None:
        """Publish a prediction under the header of its cloud."""
        ...

    def publish_timings(self, cloud: DecodedCloud, timings_ms: dict[str, float]) -> None:
        """Publish milliseconds per stage."""
        ...


@dataclass(frozen=True)
class PreparedCloud:
    """A cloud that has been placed and sampled; `prepared` is the model's own."""

    cloud: DecodedCloud
    prepared: Any
    clock: StageClock


class Delivery:
    """Publishes the model's results for one lane's clouds, and counts them.

    Args:
        sink: where predictions go.
        metadata: of the model.
        health: what is counted and noted.
        logger: of the node.
    """

    def __init__(self, sink: Sink, metadata: ModelMetadata, health: Health, logger: Any) -> None:
        self._sink = sink
        self._window_frames = metadata.window_frames
        self._actions = metadata.heads.get("action", ())
        self._said: str | None = None
        self._said_at = float("-inf")
        self._health = health
        self._logger = logger
        self._continuity = Continuity()
        self._seen_errors: set[str] = set()

    def deliver(self, item: PreparedCloud, prediction: Prediction) -> None:
        """Publish an answer."""
        if prediction.timings_ms:
            item.clock.lap_as(prediction.timings_ms)
        else:
            item.clock.lap("model")
        self._sink.publish(item.cloud, prediction)
        stages = item.clock.stop("publish")
        self._sink.publish_timings(item.cloud, stages)
        self._continuity.add(prediction.reset_reason or "")
        self._say(prediction, stages["total"])
        self._note(prediction, stages["total"])  # last: what was counted as answered must not fail after that

    def lose(self, error: Exception) -> bool:
        """Count a cloud that raised, at any stage: unusable data is rejected, everything else has failed.

        Returns:
            Whether it failed; not where the outputs are gone, when it counts as a dropped cloud.
        """
        if isinstance(error, DataError):
            self._reject(error)
            return False
        if not self._sink.is_open:
            self.drop()
            return False
        self._fail(error)
        return True

    def drop(self) -> None:
        """Count a cloud that a newer one overtook, or that waited when the node was stopped."""
        self._health.count("dropped")

    def count_reset(self, reason: str) -> None:
        """The window was emptied."""
        self._health.count("resets")
        self._health.note("last reset", reason)
        self._logger.info(f"window emptied: {reason}")

    def _say(self, prediction: Prediction, latency_ms: float) -> None:
        """The first answer, and every other action that lasts."""
        if self._said is None:
            self._logger.info(f"the first cloud was answered after {latency_ms:.0f} ms")
            self._said = ""
        action = prediction.action
        if action is None:
            return
        label = UNKNOWN if action.unknown else self._actions[action.class_id].name
        if label != self._said and monotonic() - self._said_at > _QUIET_S:
            self._logger.info(f"action: {label}")
            self._said, self._said_at = label, monotonic()

    def _reject(self, error: DataError) -> None:
        self._health.count("rejected")
        self._health.note("last rejection", str(error))
        self._health.warn("input", f"clouds were rejected, last: {error}")
        self._logger.warning(f"cloud rejected: {cut(str(error), LONGEST)}", throttle_duration_sec=5.0)

    def _fail(self, error: Exception) -> None:
        self._health.count("failed")
        self._health.note("last failure", f"{type(error).__name__}: {error}")
        self._health.warn("failure", f"clouds failed, last with {type(error).__name__}: {error}")
        where = traceback.format_exception(type(error), error, error.__traceback__)
        key = f"{type(error).__name__} {where[-2:-1]}"
        if key not in self._seen_errors:
            self._seen_errors.add(key)
            self._logger.error(f"a cloud failed and is left out (this error is logged once):\n{''.join(where)}")

    def _note(self, prediction: Prediction, latency_ms: float) -> None:
        self._health.note("window fill", f"{prediction.frame_count}/{self._window_frames}")
        self._health.note("points without a return in the last cloud", str(prediction.no_return))
        self._health.warn("failure", "")
        self._health.warn("continuity", self._continuity.warning)
        if prediction.reset_reason is not None:
            self.count_reset(prediction.reset_reason)
        self._health.answered(latency_ms)
