"""First stage of a lane, on the executor's thread: message -> decoded clouds that become one frame."""

from dataclasses import dataclass
from typing import Any

from pointata.data.pointcloud2 import DecodedCloud, decode_cloud, stamp_to_ns
from pointata.preprocessing.merging import RecentClouds
from pointata.preprocessing.picking import FramePicker
from ros_pointata.monitoring.continuity import Repetition
from ros_pointata.monitoring.health import Health
from ros_pointata.runtime.clock import StageClock
from ros_pointata.runtime.delivery import Delivery
from ros_pointata.runtime.worker import Slot


@dataclass(frozen=True)
class Job:
    """Clouds that become one frame, oldest first; the last one is answered."""

    clouds: tuple[DecodedCloud, ...]
    clock: StageClock

    @property
    def cloud(self) -> DecodedCloud:
        """The cloud that is answered."""
        return self.clouds[-1]


class Intake:
    """Counts, picks and decodes messages.

    Args:
        slot: where the jobs go.
        delivery: told of clouds that cannot be taken.
        picker: which clouds the model takes.
        recent: the clouds that are joined into one frame.
        feature_names: channels that the model reads besides x, y, z.
        health: what is counted and noted.
    """

    def __init__(
        self, slot: Slot[Job], delivery: Delivery, picker: FramePicker, recent: RecentClouds[DecodedCloud],
        feature_names: tuple[str, ...], health: Health,
    ) -> None:  # fmt: skip
        self.enabled = True
        self._slot = slot
        self._delivery = delivery
        self._picker = picker
        self._recent = recent
        self._feature_names = feature_names
        self._health = health
        self._repetition = Repetition()

    def accept(self, msg: Any) -> None:
        """Take a sensor_msgs/PointCloud2 in. What goes wrong is counted, not raised."""
        clock = StageClock()
        self._health.count("received")
        try:
            self._take(msg, clock)
        except Exception as error:
            self._delivery.lose(error)

    def forget(self) -> None:
        """Join no later cloud with those so far."""
        self._recent.clear()

    def _take(self, msg: Any, clock: StageClock) -> None:
        if not self.enabled:
            self._health.count("ignored")
            return
        repeated = self._repetition.add(msg)
        self._health.warn("repetition", self._repetition.warning)
        if repeated:
            self._health.count("skipped")
            return
        picked = self._picker.pick(stamp_to_ns(msg.header.stamp))
        self._health.note("stride", str(self._picker.stride))
        self._health.warn("frame period", self._picker.warning)
        if not picked and self._recent.count == 1:
            self._health.count("skipped")
            return
        cloud = decode_cloud(msg, self._feature_names)
        clouds = self._recent.add(cloud, cloud.stamp_ns, (cloud.frame_id, cloud.layout))
        if picked:
            clock.lap("decode")
            self._slot.submit(Job(clouds, clock))
        else:
            self._health.count("skipped")
