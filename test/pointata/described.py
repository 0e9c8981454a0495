"""A description of data for training, for tests without a data set."""

from typing import Any

import numpy as np

from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.description import DataDescription


def described(**changes: Any) -> DataDescription:
    """Frames without labels, unless `changes` say otherwise."""
    given: dict[str, Any] = {
        "heads": {},
        "own_heads": (),
        "features": (),
        "sampling": SamplingConfig(),
        "frame_period_s": 0.1,
        "merge": 1,
        "shortest_clip": 1,
        "validation_videos": 1,
        "seed": 0,
        "simulated": False,
        "licence": "",
        "provenance": {"data": "toy"},
        "class_counts": lambda task: np.zeros(0, np.int64),
    }
    return DataDescription(**(given | changes))
