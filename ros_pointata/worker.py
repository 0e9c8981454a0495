"""A thread that owns something: it runs calls in order, and otherwise the newest item of a latest-only slot."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class LatestSlot(Generic[T]):
    """Holds at most one item, the newest; an item that was not taken in time is overwritten.

    Not locked: `Worker` guards it.
    """

    def __init__(self) -> None:
        self._items: list[T] = []

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> bool:
        """Store `item`; True where it overwrote one that was still waiting."""
        overwritten = self.clear()
        self._items = [item]
        return overwritten

    def take(self) -> T:
        """Remove and return the item.

        Raises:
            IndexError: the slot is empty.
        """
        return self._items.pop()

    def clear(self) -> bool:
        """Drop the waiting item; False where there was none."""
        waiting = bool(self._items)
        self._items.clear()
        return waiting


class Worker(Generic[T]):
    """A thread that handles submitted items, newest first and only, between calls that are never dropped.

    Args:
        handle: called on the worker thread with each item taken from the slot.
        on_error: called on the worker thread with whatever `handle` raised; the thread lives on.
        on_drop: called once for each item that is overwritten or cleared before it could be handled; must be quick.
        name: of the thread.
    """

    def __init__(
        self,
        handle: Callable[[T], None],
        on_error: Callable[[Exception], None],
        on_drop: Callable[[], None],
        name: str = "worker",
    ) -> None:
        self._handle = handle
        self._on_error = on_error
        self._on_drop = on_drop
        self._slot: LatestSlot[T] = LatestSlot()
        self._calls: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: T) -> None:
        """Hand over an item; it replaces one that is still waiting. Returns at once; dropped once stopped."""
        with self._changed:
            if self._stopping or self._slot.put(item):
                self._on_drop()
            self._changed.notify_all()

    def wait_done(self) -> None:
        """Return once the waiting item, if there is one, and the one at hand have been handled."""
        self.wait_taken()
        with suppress(RuntimeError):  # stopped: nothing is left to wait for
            self.call(lambda: None).result()

    def wait_taken(self) -> None:
        """Return once no item waits: the thread took it, or it was dropped."""
        with self._changed:
            self._changed.wait_for(lambda: not self._slot)

    def call(self, function: Callable[[], R]) -> "Future[R]":
        """Run `function` on the worker thread before the next item; its result or exception is in the future.

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
        """Drop the waiting item; True where the one at hand and all calls so far were finished in time."""
        with self._changed:
            self._clear()
        return not wait_for_futures([self.call(lambda: None)], timeout_s).not_done

    def ask_to_stop(self) -> None:
        """Drop the waiting item; the thread ends after what is at hand and the calls made so far. Returns at once."""
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
        if self._slot.clear():
            self._on_drop()
            self._changed.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except Exception as error:
                self._on_error(error)

    def _next(self) -> Callable[[], Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._slot or self._stopping)
            if self._calls:
                return self._calls.popleft()
            if self._stopping:
                return None
            item = self._slot.take()
            self._changed.notify_all()
            return lambda: self._handle(item)


def stop_all(workers: Sequence[Worker[Any]], timeout_s: float) -> bool:
    """Stop workers that may wait for each other, the first in line first; True where all ended within the one limit."""
    for worker in workers:
        worker.ask_to_stop()
    end = time.monotonic() + timeout_s
    return all([worker.stop(max(end - time.monotonic(), 0.0)) for worker in workers])
