"""The worker thread: newest item only, every lost one counted, calls in order on one thread."""

import threading
import time

import pytest

from ros_pointata.worker import LatestSlot, Worker, stop_all


class Gate:
    """A handler that records items and can be held at the first one."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.dropped = 0
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, item: object) -> None:
        self.items.append(item)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.open.wait(5)

    def drop(self) -> None:
        self.dropped += 1


def _ignore(error: Exception) -> None:
    raise AssertionError("no error was expected") from error


def held(item: object = "at hand") -> tuple[Gate, Worker[object]]:
    """A worker whose handler is held at an item."""
    gate = Gate()
    worker: Worker[object] = Worker(gate, _ignore, gate.drop)
    worker.submit(item)
    assert gate.entered.wait(5)
    return gate, worker


def test_slot_keeps_the_newest_and_counts_the_others() -> None:
    slot: LatestSlot[int] = LatestSlot()
    assert [slot.put(item) for item in (1, 2, 3)] == [False, True, True]
    assert (slot.take(), len(slot)) == (3, 0)
    with pytest.raises(IndexError):
        slot.take()


def test_a_busy_worker_drops_all_but_the_newest() -> None:
    gate, worker = held(0)
    for item in range(1, 10):
        worker.submit(item)
    gate.open.set()
    worker.call(lambda: None).result(5)
    while len(gate.items) < 2:  # the call came before item 9
        worker.call(lambda: None).result(5)
    assert gate.items == [0, 9]
    assert gate.dropped == 8
    assert worker.stop(5)


def test_wait_taken_lasts_as_long_as_an_item_waits() -> None:
    gate, worker = held()
    worker.wait_taken()  # nothing waits: returns although the handler is busy
    worker.submit("waiting")
    waiter = threading.Thread(target=worker.wait_taken, daemon=True)
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive()
    gate.open.set()
    waiter.join(5)
    assert not waiter.is_alive()
    assert worker.stop(5)


def test_a_dropped_item_is_no_longer_waited_for() -> None:
    gate, worker = held()
    worker.submit("waiting")
    waiter = threading.Thread(target=worker.wait_taken, daemon=True)
    waiter.start()
    assert not worker.stop(0.05)  # the handler is held, but the waiting item is dropped
    waiter.join(5)
    assert not waiter.is_alive()
    gate.open.set()
    assert worker.stop(5)
    assert (gate.items, gate.dropped) == (["at hand"], 1)


def test_drain_counts_the_waiting_item_and_waits_for_the_one_at_hand() -> None:
    gate, worker = held()
    worker.submit("waiting")
    threading.Timer(0.05, gate.open.set).start()
    assert worker.drain(5)
    assert gate.items == ["at hand"]
    assert gate.dropped == 1
    assert worker.stop(5)


def test_a_thread_that_waits_for_another_is_stopped_with_it_and_nothing_waits_beyond_the_limit() -> None:
    gate, last = held()
    first: Worker[object] = Worker(lambda item: last.wait_taken(), _ignore, lambda: None)
    last.submit("waiting")
    first.submit("waits for the other's slot")
    assert not last.drain(0.05)
    last.submit("waiting")
    begun = time.monotonic()
    assert not stop_all((first, last), 0.2)  # the one at hand is held
    assert time.monotonic() - begun < 2
    assert first.stop(5)  # what it waited for was dropped
    gate.open.set()
    assert stop_all((first, last), 5)


def test_items_that_stop_clears_or_that_come_later_are_counted() -> None:
    gate, worker = held()
    worker.submit("waiting")
    threading.Timer(0.05, gate.open.set).start()
    assert worker.stop(5)
    assert (gate.items, gate.dropped) == (["at hand"], 1)
    worker.submit("late")
    assert (gate.items, gate.dropped) == (["at hand"], 2)


def test_calls_run_on_the_same_thread_and_hand_back_results_and_errors() -> None:
    gate = Gate()
    gate.open.set()
    worker = Worker(gate, _ignore, gate.drop)
    worker.submit(1)
    ident = worker.call(threading.get_ident).result(5)
    while not gate.items:
        worker.call(lambda: None).result(5)
    assert gate.threads == {ident} != {threading.get_ident()}
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0).result(5)
    assert worker.stop(5)
    with pytest.raises(RuntimeError, match="stopped"):
        worker.call(lambda: None)


def test_an_error_in_the_handler_is_reported_and_the_thread_lives_on() -> None:
    errors: list[Exception] = []
    seen: list[int] = []

    def handle(item: int) -> None:
        seen.append(item)
        if item == 0:
            raise ValueError("item 0")

    worker = Worker(handle, errors.append, lambda: None)
    worker.submit(0)
    while not errors:
        worker.call(lambda: None).result(5)
    worker.submit(1)
    while len(seen) < 2:
        worker.call(lambda: None).result(5)
    assert [str(error) for error in errors] == ["item 0"]
    assert worker.stop(5)


def test_an_idle_worker_uses_no_cpu() -> None:
    worker: Worker[int] = Worker(lambda item: None, _ignore, lambda: None)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    assert worker.stop(5)
