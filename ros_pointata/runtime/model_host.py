"""One network on a thread of its own, for one or more lanes."""

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from pointata import Frame, InferenceError, Prediction
from pointata.errors import ConfigError
from pointata.inference.options import PredictorOptions
from ros_pointata.model import Model
from ros_pointata.runtime.delivery import Delivery, PreparedCloud
from ros_pointata.runtime.worker import Slot, Worker


class ModelHost:
    """Answers the newest cloud of every lane that has one in one batch; each lane is a stream of the model.

    The thread alone touches the model, but for `prepare`; so whatever takes the model's place, between two batches,
    is one more call on it.

    Args:
        load: makes the model, on the thread: the threads of torch are bound to it.
        logger: of the node.
        ending: done once the process is to end, when a load is not waited for any longer.

    Raises:
        Exception: of `load`; ConfigError where the process was to end first.
    """

    def __init__(self, load: Callable[[], Model], logger: Any, ending: "Future[None] | None" = None) -> None:
        self._logger = logger
        self._deliveries: list[Delivery] = []
        self.worker: Worker[PreparedCloud] = Worker(self._answer, self._report, name="pointata_model")
        try:
            self.model = self._load(load, ending or Future())
        except Exception:
            self.worker.ask_to_stop()
            raise

    def connect(self, delivery: Delivery) -> Slot[PreparedCloud]:
        """Open the slot of a further lane; its number is that of the model's stream."""
        self._deliveries.append(delivery)
        return self.worker.open_slot(delivery.drop)

    def prepare(self, frame: Frame) -> Any:
        """The model's share in sampling; on any thread."""
        return self.model.prepare(frame)

    def reset(self, lane: int, reason: str) -> None:
        """Empty a lane's window before its next cloud; returns at once."""
        self.worker.call(lambda: self._reset(lane, reason))

    def set_options(self, options: PredictorOptions) -> None:
        """Take other settings from the next cloud on; the windows stay. Returns at once."""
        self.worker.call(lambda: self.model.set_options(options))

    def _load(self, load: Callable[[], Model], ending: "Future[None]") -> Model:
        loading = self.worker.call(load)
        futures: tuple[Future[Any], ...] = (loading, ending)
        wait(futures, return_when=FIRST_COMPLETED)
        if not loading.done():
            raise ConfigError("the process was told to end before the model was loaded")
        return loading.result()

    def _answer(self, items: Mapping[int, PreparedCloud]) -> None:
        for item in items.values():
            item.clock.lap("wait")
        answers, errors = self._predict(items)
        for lane, item in items.items():
            if lane in errors:
                self._lose(lane, errors[lane])
                continue
            try:
                self._deliveries[lane].deliver(item, answers[lane])
            except Exception as error:
                self._lose(lane, error)

    def _predict(self, items: Mapping[int, PreparedCloud]) -> tuple[Mapping[int, Prediction], Mapping[int, Exception]]:
        """Predictions and errors by lane; an error that names no lane is of all."""
        try:
            return self.model.predict_batch({lane: item.prepared for lane, item in items.items()}), {}
        except InferenceError as error:
            return error.answered, dict.fromkeys(error.streams, error)
        except Exception as error:
            return {}, dict.fromkeys(items, error)

    def _lose(self, lane: int, error: Exception) -> None:
        """Count a lane's cloud that raised; where it failed, the window starts anew."""
        if self._deliveries[lane].lose(error):
            try:
                self._reset(lane, f"after {type(error).__name__}")
            except Exception as further:
                self._logger.error(f"the window could not be emptied: {type(further).__name__}: {further}")

    def _reset(self, lane: int, reason: str) -> None:
        self.model.reset(lane)
        self._deliveries[lane].count_reset(reason)

    def _report(self, error: Exception) -> None:
        self._logger.error(f"clouds could not be accounted for: {type(error).__name__}: {error}")
