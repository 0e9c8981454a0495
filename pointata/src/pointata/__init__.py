"""PointATA: point-cloud video understanding by a frozen 3D backbone with temporal adapters.

What needs torch, or much else, is imported when it is first asked for: `import pointata` takes numpy alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pointata.classes import UNLABELLED, ClassInfo
from pointata.errors import (
    BundleError,
    ConfigError,
    DataError,
    InferenceError,
    InstallationError,
    PointataError,
    TooFewPointsError,
    UsageError,
)
from pointata.frame import Frame, Image, LabelledFrame
from pointata.prediction import ActionResult, ActionSegment, PointLabels, Prediction

if TYPE_CHECKING:
    from pointata.bundles.bundle import load_bundle
    from pointata.data.open import open_dataset, open_recording
    from pointata.evaluation.offline import evaluate
    from pointata.inference.options import PredictorOptions
    from pointata.inference.predictor import Predictor
    from pointata.model.pointata import PointATA

__version__ = "0.1.0"

__all__ = [
    "UNLABELLED",
    "ActionResult",
    "ActionSegment",
    "BundleError",
    "ClassInfo",
    "ConfigError",
    "DataError",
    "Frame",
    "Image",
    "InferenceError",
    "InstallationError",
    "LabelledFrame",
    "PointATA",
    "PointLabels",
    "PointataError",
    "Prediction",
    "Predictor",
    "PredictorOptions",
    "TooFewPointsError",
    "UsageError",
    "__version__",
    "evaluate",
    "load_bundle",
    "open_dataset",
    "open_recording",
]

#: Where the names stand that are imported when they are first asked for (PEP 562).
_LATER = {
    "PointATA": "pointata.model.pointata",
    "Predictor": "pointata.inference.predictor",
    "PredictorOptions": "pointata.inference.options",
    "evaluate": "pointata.evaluation.offline",
    "load_bundle": "pointata.bundles.bundle",
    "open_recording": "pointata.data.open",
    "open_dataset": "pointata.data.open",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
