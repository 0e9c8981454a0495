"""PointATA: point-cloud video understanding by a frozen 3D backbone with temporal adapters."""

from pointata.classes import UNLABELLED, ClassInfo
from pointata.errors import BundleError, ConfigError, DataError, InferenceError, PointataError
from pointata.frame import Frame, LabelledFrame
from pointata.prediction import ActionResult, ActionSegment, Prediction, SemanticResult

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
    "InferenceError",
    "LabelledFrame",
    "PointataError",
    "Prediction",
    "SemanticResult",
    "__version__",
]
