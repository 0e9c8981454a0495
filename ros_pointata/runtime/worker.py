"""A thread that owns something: it runs calls in order, and otherwise takes what is newest of each that sends to it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Worker(Generic[T]):
    """A thread that handles the items of its slots, between calls that are never dropped.

    The thread alone refers to `handle` and `on_error`: once it has ended, what they belong to is free.

    Args:
        handle: called on the thread with the items of all slots that hold one, by number of the slot.
        on_error: called on the thread with whatever `handle` raised; the thread lives on.
        name: of the thread.
    """

    def __init__(
        self, handle: Callable[[dict[int, T]], None], on_error: Callable[[Exception], object], name: str = "worker"
    ) -> None:
        self._waiting: dict[int, T] = {}
        self._on_drop: list[Callable[[], None]] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, args=(handle, on_error), name=name, daemon=True)
        self._thread.start()

    def open_slot(self, on_drop: Callable[[], None]) -> "Slot[T]":
        """A further slot; they are numbered from 0.

        Args:
            on_drop: called once for each item that is overwritten or cleared before it could be handled; must be quick.
        """
        with self._changed:
            self._on_drop.append(on_drop)
            return Slot(self, len(self._on_drop) - 1)

    def call(self, function: Callable[[], R]) -> "Future[R]":
        """Run `function` on the worker thread before the next items; its result or exception is in the future.

        Raises:
            RuntimeError: the worker was stopped.
        """
        future: Future[R] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        with self._changed:
            if self._stopping:
                raise RuntimeError("the worker was stopped")
            self._calls.append(run)
            self._changed.notify_all()
        return future

    def drain(self, timeout_s: float) -> bool:
        """Drop the waiting items; True where those at hand and all calls so far were finished in time."""
        with self._changed:
            self._clear()
        return not wait_for_futures([self.call(lambda: None)], timeout_s).not_done

    def ask_to_stop(self) -> None:
        """Drop the waiting items; the thread ends after what is at hand and the calls made so far. Returns at once."""
        with self._changed:
            self._stopping = True
            self._clear()
            self._changed.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """`ask_to_stop`, and wait; True where the thread ended in time. Where not, it ends by itself, later."""
        self.ask_to_stop()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _clear(self) -> None:
        for slot in self._waiting:
            self._on_drop[slot]()
        self._waiting.clear()
        self._changed.notify_all()

    def _run(self, handle: Callable[[dict[int, T]], None], on_error: Callable[[Exception], object]) -> None:
        while (job := self._next(handle)) is not None:
            try:
                job()
            except Exception as error:
                on_error(error)

    def _next(self, handle: Callable[[dict[int, T]], None]) -> Callable[[], Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._waiting or self._stopping)
            if self._calls:
                return self._calls.popleft()
            if self._stopping:
                return None
            items, self._waiting = self._waiting, {}
            self._changed.notify_all()
            return lambda: handle(items)


@dataclass(frozen=True)
class Slot(Generic[T]):
    """One sender's way to a worker: holds at most one item, the newest."""

    worker: Worker[T]
    number: int

    def submit(self, item: T) -> None:
        """Hand over an item; it replaces one that is still waiting. Returns at once; dropped once stopped."""
        worker = self.worker
        with worker._changed:
            if worker._stopping or self.number in worker._waiting:
                worker._on_drop[self.number]()
            if not worker._stopping:
                worker._waiting[self.number] = item
            worker._changed.notify_all()

    def wait_taken(self) -> None:
        """Return once no item waits here: the thread took it, or it was dropped."""
        with self.worker._changed:
            self.worker._changed.wait_for(lambda: self.number not in self.worker._waiting)

    def wait_done(self) -> None:
        """Return once the waiting item, if there is one, and what is at hand have been handled."""
        self.wait_taken()
        with suppress(RuntimeError):  # stopped: nothing is left to wait for
            self.worker.call(lambda: None).result()


def stop_all(workers: Sequence[Worker[Any]], timeout_s: float) -> bool:
    """Stop workers that may wait for each other, the first in line first; True where all ended within the one limit."""
    for worker in workers:
        worker.ask_to_stop()
    end = time.monotonic() + timeout_s
    return all([worker.stop(max(end - time.monotonic(), 0.0)) for worker in workers])
