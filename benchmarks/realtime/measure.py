"""Taking times, and summing them up."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """The result of a call, and its wall time in ms."""
    start = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - start) * 1e3


def milliseconds(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    return timed(call)[1]


def times(call: Callable[[], Any], repeats: int, warm_up: int = 1) -> list[float]:
    """Wall times of `repeats` calls, ms, after `warm_up` calls that do not count."""
    for _ in range(warm_up):
        call()
    return [milliseconds(call) for _ in range(repeats)]


def in_both_orders(first: Callable[[], Any], second: Callable[[], Any], pairs: int) -> tuple[list[float], list[float]]:
    """Wall times (ms) of two calls side by side, A B, B A, A B, ...: what disturbs the machine strikes both alike.

    Each is called once before, which does not count.
    """
    first()
    second()
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(pairs):
        for call, taken in ((first, ours), (second, theirs)) if number % 2 == 0 else ((second, theirs), (first, ours)):
            taken.append(milliseconds(call))
    return ours, theirs


def latency(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile (linear between ranks) and maximum of latencies in ms."""
    if not len(values):
        return dict.fromkeys(("p50_ms", "p99_ms", "max_ms"), float("nan"))
    p50, p99 = np.percentile(values, (50, 99))
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": float(max(values))}


def medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median of each entry over several mappings; entries that some lack are taken over those that have them."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: float(np.median([sample[name] for sample in samples if name in sample])) for name in names}
