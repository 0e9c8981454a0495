"""All that exists between configure and cleanup: workers, model, ego motion, outputs and the pipeline through them."""

from contextlib import ExitStack
from typing import Any

from rclpy.lifecycle import LifecycleNode

from pointata.merging import RecentClouds
from pointata.picking import FramePicker
from ros_pointata.health import PARAMETERS, Health
from ros_pointata.model import ModelLoader, overlaps
from ros_pointata.motion_sources import motion_source
from ros_pointata.parameters import Parameters
from ros_pointata.pipeline import Job, Pipeline, PreparedJob
from ros_pointata.publishers import Outputs
from ros_pointata.worker import Worker


class Runtime:
    """Built as a whole or not at all; `close` gives everything back, the threads first.

    Args:
        node: that owns publishers and subscriptions.
        parameters: read once, here.
        load_model: called on the thread that then asks the model for answers.
        health: what is counted and noted.

    Raises:
        PointataError: weights or parameters that cannot be used.
    """

    def __init__(self, node: LifecycleNode, parameters: Parameters, load_model: ModelLoader, health: Health) -> None:
        self.parameters = parameters
        self._health = health
        with ExitStack() as stack:
            self._worker: Worker[PreparedJob] = Worker(
                lambda item: self._pipeline.answer(item),
                lambda error: self._pipeline.on_error(error),
                lambda: health.count("dropped"),
                name="pointata_model",
            )
            stack.callback(self._worker.stop)
            self._sampler: Worker[Job] = Worker(
                lambda job: self._pipeline.prepare(job, self._worker),
                lambda error: self._pipeline.on_prepare_error(error),
                lambda: health.count("dropped"),
                name="pointata_sampler",
            )
            stack.callback(self._sampler.stop)
            model = self._worker.call(lambda: load_model(parameters)).result()
            motion = motion_source(node, parameters.motion)
            stack.callback(motion.close)
            merge = parameters.window.merge or model.metadata.merge
            outputs = Outputs(node, model.metadata, parameters.output, health)
            stack.callback(outputs.close)
            self.model_name = model.metadata.name
            self._pipeline = Pipeline(
                model=model,
                picker=FramePicker(parameters.window.stride, model.metadata.frame_period_s),
                recent=RecentClouds(merge, parameters.window.max_gap_s),
                motion=motion,
                sink=outputs,
                health=health,
                overlap=overlaps(model, parameters.torch_threads),
                logger=node.get_logger(),
                alive=node.context.ok,
            )
            stack.callback(self._worker.stop)  # again, both: on the way back the threads come first
            stack.callback(self._sampler.stop)
            self._stack = stack.pop_all()
        health.note("model", self.model_name)
        health.note("device", str(model.device))
        health.note("precision", model.precision)
        health.note("ego motion", parameters.motion.source)
        health.note("merged clouds", str(merge))

    def accept(self, msg: Any) -> None:
        """Take a sensor_msgs/PointCloud2 in."""
        self._pipeline.accept(msg, self._sampler)

    def enable(self, enabled: bool) -> None:
        """False: clouds are counted and ignored."""
        self._pipeline.enabled = enabled
        self._health.warn("enable", "" if enabled else "clouds are ignored until ~/enable is called with true")

    def reset(self, reason: str) -> None:
        """Empty the window before the next cloud; returns at once. On the executor's thread."""
        self._pipeline.forget()
        self._worker.call(lambda: self._pipeline.reset(reason))

    def drain(self) -> None:
        """Drop the waiting clouds and wait for those at hand."""
        self._sampler.drain()
        self._worker.drain()

    def close(self) -> None:
        """End the threads, then give everything else back; the warnings were about what no longer is."""
        self._stack.close()
        self._health.clear_warnings(keep=(PARAMETERS,))
        # workers and runtime know each other; the collector does not look at what `load_predictor` froze
        del self._pipeline, self._worker, self._sampler
