"""A camera's optical axes (x right, y down, z forward) and a robot's (x forward, y left, z up), after REP-103."""

import numpy as np
from numpy.typing import NDArray

#: Rotation from optical axes to x forward, y left, z up.
FORWARD_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def forward_from_optical(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points (N, 3) in optical axes, turned to x forward, y left, z up; their datatype stays."""
    x, y, z = points.T
    return np.stack((z, -x, -y), axis=1)
