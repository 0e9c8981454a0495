"""All that exists between configure and cleanup: the network's host, and the lane of the sensor."""

from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial

from rclpy.lifecycle import LifecycleNode

from ros_pointata.config.parameters import Parameters
from ros_pointata.model import ModelLoader, options_of
from ros_pointata.monitoring.health import PARAMETERS, Health
from ros_pointata.runtime.lane import Lane
from ros_pointata.runtime.model_host import ModelHost
from ros_pointata.runtime.worker import stop_all

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
        with ExitStack() as stack:
            self._host = ModelHost(partial(load_model, parameters), self._logger, ending)
            stack.callback(self._host.worker.ask_to_stop)
            model = self._host.model
            self.model_name = model.metadata.name
            health.note("model", self.model_name)
            health.caution(f"{self.model_name} was trained on simulated data only" if model.metadata.simulated else "")
            health.note("device", str(model.device))
            health.note("precision", model.precision)
            self.lane = Lane(node, parameters, self._host, health)
            stack.callback(self.lane.close)
            self._stack = stack.pop_all()
        self._threads = (self.lane.sampler, self._host.worker)

    def take_over(self, parameters: Parameters) -> None:
        """Go on with other values of the parameters that are `live`, from the next cloud on; the window stays."""
        self.parameters = parameters
        self._host.set_options(options_of(parameters))
        self.lane.take_over(parameters)

    def drain(self) -> None:
        """Drop the waiting clouds and wait for those at hand, at most the patience for each thread."""
        if not all([thread.drain(self._patience_s) for thread in self._threads]):
            self._logger.warning("a cloud is still at work: it is not waited for any longer")

    def close(self) -> None:
        """End the threads, then give everything else back; the warnings were about what no longer is.

        A thread that does not end in time is left behind, and ends with its cloud.
        """
        self.lane.close_input()
        if not stop_all(self._threads, self._patience_s):
            self._logger.warning(f"a thread was still at work after {self._patience_s:g} s: it is left to itself")
        self._stack.close()
        self._health.clear_warnings(keep=(PARAMETERS,))

    @property
    def _patience_s(self) -> float:
        return LAST_PATIENCE_S if self._ending.done() else PATIENCE_S
