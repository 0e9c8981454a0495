"""All that exists between configure and cleanup: workers, model, ego motion, outputs and the pipeline through them."""

from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from typing import Any

from rclpy.lifecycle import LifecycleNode

from pointata.errors import ConfigError
from pointata.preprocessing.merging import RecentClouds
from pointata.preprocessing.picking import FramePicker
from ros_pointata.config.parameters import Parameters
from ros_pointata.io.publishers import Outputs
from ros_pointata.model import Model, ModelLoader, options_of, overlaps
from ros_pointata.monitoring.health import PARAMETERS, Health
from ros_pointata.motion.sources import motion_source
from ros_pointata.pipeline import Job, Pipeline, PreparedJob
from ros_pointata.worker import Worker, stop_all

#: Longest wait for the cloud at hand: of a transition, and of a process that is to end (launch kills after 5 s).
PATIENCE_S, LAST_PATIENCE_S = 5.0, 1.0


class Runtime:
    """Built as a whole or not at all; `close` gives everything back, the threads first.

    Args:
        node: that owns publishers and subscriptions.
        parameters: read once, here.
        load_model: called on the thread that then asks the model for answers.
        health: what is counted and noted.
        ending: done once the process is to end, when nothing is waited for longer than LAST_PATIENCE_S.

    Raises:
        PointataError: weights or parameters that cannot be used.
    """

    def __init__(
        self, node: LifecycleNode, parameters: Parameters, load_model: ModelLoader, health: Health,
        ending: "Future[None]",
    ) -> None:  # fmt: skip
        self.parameters = parameters
        self._health = health
        self._logger = node.get_logger()
        self._ending = ending
        self._closed = False
        self._loaded = False
        with ExitStack() as stack:
            self._worker: Worker[PreparedJob] = Worker(
                lambda item: self._pipeline.predict(item),
                lambda error: self._pipeline.on_error(error),
                lambda: health.count("dropped"),
                name="pointata_model",
            )
            self._sampler: Worker[Job] = Worker(
                lambda job: self._pipeline.prepare(job, self._worker),
                lambda error: self._pipeline.on_prepare_error(error),
                lambda: health.count("dropped"),
                name="pointata_sampler",
            )
            stack.callback(self._stop_workers)
            model = self._model = self._load(load_model)
            motion = motion_source(node, parameters.motion)
            stack.callback(motion.close)
            merge = parameters.window.merge or model.metadata.merge
            outputs = Outputs(node, model.metadata, parameters.output, health)
            stack.callback(outputs.close)
            self.publishers = outputs.publishers
            self.model_name = model.metadata.name
            self._pipeline = Pipeline(
                model=model,
                picker=FramePicker(parameters.window.stride, model.metadata.frame_period_s),
                recent=RecentClouds(merge, parameters.window.max_gap_s),
                motion=motion,
                sink=outputs,
                health=health,
                overlap=overlaps(model, parameters.torch_threads),
                logger=self._logger,
                alive=lambda: node.context.ok() and not self._closed,
            )
            stack.callback(self._stop_workers)  # again: on the way back the threads come first
            self._stack = stack.pop_all()
        health.note("model", self.model_name)
        health.caution(f"{self.model_name} was trained on simulated data only" if model.metadata.simulated else "")
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

    def take_over(self, parameters: Parameters) -> None:
        """Go on with other values of the parameters that are `live`, from the next cloud on; the window stays."""
        self.parameters = parameters
        options = options_of(parameters)
        self._worker.call(lambda: self._model.set_options(options))

    def drain(self) -> None:
        """Drop the waiting clouds and wait for those at hand, at most PATIENCE_S for each thread."""
        if not all([worker.drain(self._patience_s) for worker in (self._sampler, self._worker)]):
            self._logger.warning("a cloud is still at work: it is not waited for any longer")

    def close(self) -> None:
        """End the threads, then give everything else back; the warnings were about what no longer is.

        A thread that does not end in time is left behind, and ends with its cloud.
        """
        self._closed = True
        self._stack.close()
        self._health.clear_warnings(keep=(PARAMETERS,))
        if stop_all((self._sampler, self._worker), 0.0):
            # workers and runtime know each other; the collector does not look at what `load_predictor` froze
            del self._model, self._pipeline, self._worker, self._sampler

    def _load(self, load_model: ModelLoader) -> Model:
        """The model; the threads of torch are bound to the one that loads it. Gives up when the process is to end."""
        loading = self._worker.call(lambda: load_model(self.parameters))
        futures: tuple[Future[Any], ...] = (loading, self._ending)
        wait(futures, return_when=FIRST_COMPLETED)
        if not loading.done():
            raise ConfigError("the process was told to end before the model was loaded")
        model = loading.result()
        self._loaded = True
        return model

    def _stop_workers(self) -> None:
        if not stop_all((self._sampler, self._worker), self._patience_s):
            self._logger.warning(f"a thread was still at work after {self._patience_s:g} s: it is left to itself")

    @property
    def _patience_s(self) -> float:
        if self._ending.done():
            return LAST_PATIENCE_S if self._loaded else 0.0  # nobody can interrupt a load, and it takes seconds
        return PATIENCE_S
