"""Second stage of a lane, on a thread of its own: decoded clouds -> one frame at its pose -> sampled."""

from collections.abc import Callable, Mapping
from typing import Any

from pointata import Frame
from pointata.data.pointcloud2 import DecodedCloud
from pointata.preprocessing.merging import merge_frames
from ros_pointata.monitoring.health import Health
from ros_pointata.motion.buffer import PoseEstimate
from ros_pointata.motion.sources import MotionSource
from ros_pointata.runtime.delivery import PreparedCloud
from ros_pointata.runtime.intake import Job
from ros_pointata.runtime.worker import Slot


class Sampling:
    """Places and samples clouds.

    Args:
        slot: where the prepared clouds go.
        prepare: the model's share.
        motion: where the sensor was.
        overlap: prepare the next cloud while the model answers. Not where the model's threads take every core: they
            run in step, and one that is held up holds up all.
        health: what is noted.
    """

    def __init__(
        self, slot: Slot[PreparedCloud], prepare: Callable[[Frame], Any], motion: MotionSource, overlap: bool,
        health: Health,
    ) -> None:  # fmt: skip
        self._slot = slot
        self._prepare = prepare
        self._motion = motion
        self._overlap = overlap
        self._health = health

    def handle(self, jobs: Mapping[int, Job]) -> None:
        """Prepare one cloud, and hand it over; returns when the model has taken (or answered) it, so that none is
        prepared for nothing.
        """
        (job,) = jobs.values()
        job.clock.lap("wait")
        pose = self._motion.pose_at(job.cloud.stamp_ns, job.cloud.frame_id)
        self._health.warn("ego motion", pose.warning)
        job.clock.lap("motion")
        prepared = self._prepare(self._frame(job.clouds, pose))
        self._health.warn("input", "")
        job.clock.lap_as({})  # of sampling the model tells
        self._slot.submit(PreparedCloud(job.cloud, prepared, job.clock))
        if self._overlap:
            self._slot.wait_taken()
        else:
            self._slot.wait_done()

    def _frame(self, clouds: tuple[DecodedCloud, ...], pose: PoseEstimate) -> Frame:
        """The newest cloud, at its pose, joined with those before it whose place relative to it is known."""
        frames = [clouds[-1].frame(pose.T_world_sensor, pose_known=pose.known)]
        for cloud in reversed(clouds[:-1]):
            theirs = self._motion.pose_at(cloud.stamp_ns, cloud.frame_id)
            if theirs.known != pose.known:
                break
            frames.insert(0, cloud.frame(theirs.T_world_sensor))
        return merge_frames(frames)
