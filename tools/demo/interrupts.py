"""Signals that end a run in order."""

import signal
from typing import Any


class Interrupts:
    """SIGINT and SIGTERM inside a `with` block: noted, so that none strikes while a process is being started.

    Whoever waits calls `check`. A second signal does not wait for it.
    """

    def __init__(self) -> None:
        self._noted = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt where a signal has come."""
        if self._noted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: object) -> None:
        self.check()
        self._noted = True
