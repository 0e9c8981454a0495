"""Where the time of a cloud goes."""

from collections.abc import Mapping
from time import perf_counter


class StageClock:
    """Travels with one cloud from thread to thread; whoever is done with it says what the time was spent on."""

    def __init__(self) -> None:
        self._began = self._last = perf_counter()
        self._stages_ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """The time since the last lap went into a stage, beside what went into it before."""
        now = perf_counter()
        self._stages_ms[stage] = self._stages_ms.get(stage, 0.0) + (now - self._last) * 1e3
        self._last = now

    def lap_as(self, stages_ms: Mapping[str, float]) -> None:
        """The time since the last lap went into stages that somebody else timed, milliseconds."""
        self._stages_ms |= stages_ms
        self._last = perf_counter()

    def stop(self, stage: str) -> dict[str, float]:
        """The last lap; returns milliseconds by stage, and as "total" all since the start."""
        self.lap(stage)
        return self._stages_ms | {"total": (self._last - self._began) * 1e3}
