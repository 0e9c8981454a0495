"""How often frames come, by counting them over time: a sensor's stamps may come in bursts, a single gap says little."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A gap longer than this (seconds), and than PAUSE_FACTOR times the median gap, is a pause: the sensor was off.
PAUSE_S = 1.0
PAUSE_FACTOR = 5.0


def gaps_s(stamps_ns: ArrayLike) -> NDArray[np.float64]:
    """(K - 1,) seconds from each of the stamps (K,) to the next; pauses, and steps back in time, are left out."""
    gaps: NDArray[np.float64] = np.diff(np.asarray(stamps_ns, dtype=np.int64)).astype(np.float64) / 1e9
    gaps = gaps[gaps >= 0]
    if len(gaps) == 0:
        return gaps
    return gaps[gaps <= max(PAUSE_S, PAUSE_FACTOR * float(np.median(gaps)))]


def mean_rate_hz(stamps_ns: ArrayLike, default: float = 10.0) -> float:
    """Frames over time: (K - 1) / (last - first) of the stamps (K,), pauses left out.

    Args:
        stamps_ns: nanoseconds, in the order in which the frames came.
        default: result where the stamps tell nothing, Hz.
    """
    gaps = gaps_s(stamps_ns)
    seconds = float(gaps.sum())
    return len(gaps) / seconds if seconds > 0 else default
