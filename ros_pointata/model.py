"""What the node needs of a model, and how it gets one from its parameters. Imports no ROS."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Protocol

from pointata import ClassInfo, Frame, Prediction
from pointata.inference.options import PredictorOptions
from pointata.system.cores import core_count
from ros_pointata.config.parameters import Parameters


class ModelMetadata(Protocol):
    """The metadata of a weight bundle."""

    @property
    def name(self) -> str:
        """Name of the bundle."""
        ...

    @property
    def heads(self) -> Mapping[str, tuple[ClassInfo, ...]]:
        """Classes by task (see `pointata.tasks`)."""
        ...

    @property
    def frame_period_s(self) -> float:
        """Frame period of the training data, seconds."""
        ...

    @property
    def merge(self) -> int:
        """Clouds that were joined into each frame of the training data."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether all training data were simulated."""
        ...

    @property
    def window_frames(self) -> int:
        """Frames of a full window."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Cloud fields that the model reads besides x, y, z."""
        ...


class Model(Protocol):
    """Frames in, predictions out; as `pointata.inference.predictor.Predictor`.

    `prepare` is called on any thread, also while another one is in `predict_batch` or `reset`.
    """

    @property
    def metadata(self) -> ModelMetadata:
        """The metadata of the bundle."""
        ...

    @property
    def device(self) -> Any:
        """Where the network runs: "cpu", "cuda:0" or a torch.device that prints so."""
        ...

    @property
    def precision(self) -> str:
        """Arithmetic of the network, for diagnostics."""
        ...

    def prepare(self, frame: Frame) -> Any:
        """What can be done with a frame before its turn: sampling."""
        ...

    def predict_batch(self, prepared: Mapping[int, Any]) -> dict[int, Prediction]:
        """The predictions for the windows that end at these frames, as `prepare` left them, by number of the stream.

        A window that a frame cannot continue is emptied first.

        Raises:
            InferenceError: some streams failed; it names them, and holds what the others answered.
        """
        ...

    def reset(self, stream: int) -> None:
        """Empty the window of a stream."""
        ...

    def set_options(self, options: PredictorOptions) -> None:
        """Take other settings from the next frame on; the window stays."""
        ...


#: Makes a model from the parameters; called on the worker thread.
ModelLoader = Callable[[Parameters], Model]


def load_predictor(parameters: Parameters) -> Model:
    """The shipped way: `pointata.inference.predictor.Predictor` as the parameters name its weights, device and options.

    Raises:
        BundleError: weights that are missing, damaged, or do not fit.
        ConfigError: options that the predictor refuses.
    """
    from pointata.inference.predictor import Predictor  # torch takes seconds to import: not before configure

    return Predictor.load(
        parameters.model,
        backbone=parameters.backbone or None,
        device=parameters.device,
        threads=thread_count(parameters.torch_threads),
        precision=parameters.precision,
        options=options_of(parameters),
    )


def options_of(parameters: Parameters) -> PredictorOptions:
    """The parameters of window, crop and actions, by the names of the options."""
    names = {entry.name for entry in fields(PredictorOptions)}
    said = vars(parameters.window) | vars(parameters.crop) | vars(parameters.action)
    return PredictorOptions(**{name: value for name, value in said.items() if name in names})


def overlaps(model: Model, torch_threads: int) -> bool:
    """Whether the next cloud is to be sampled while the network runs: not where the network takes every core."""
    return str(model.device) != "cpu" or thread_count(torch_threads) < core_count()


def thread_count(wanted: int) -> int:
    """`wanted` threads, or where it is 0 one less than the cores that this process may use, at least 1."""
    return wanted or max(core_count() - 1, 1)
