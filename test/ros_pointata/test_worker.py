"""The worker thread: newest item only, every lost one counted, calls in order on one thread."""

import gc
import threading
import time
import weakref

import pytest

from ros_pointata.runtime.worker import Slot, Worker, stop_all


class Gate:
    """A handler that records items and can be held at the first one."""

    def __init__(self) -> None:
        self.items: list[object] = []
        self.dropped = 0
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, items: dict[int, object]) -> None:
        self.items.extend(items.values())
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.open.wait(5)

    def drop(self) -> None:
        self.dropped += 1


def _ignore(error: Exception) -> None:
    raise AssertionError("no error was expected") from error


def held(item: object = "at hand") -> tuple[Gate, Worker[object], Slot[object]]:
    """A worker whose handler is held at an item of its slot."""
    gate = Gate()
    worker: Worker[object] = Worker(gate, _ignore)
    slot = worker.open_slot(gate.drop)
    slot.submit(item)
    assert gate.entered.wait(5)
    return gate, worker, slot


def test_each_slot_keeps_its_newest_and_what_waits_is_handled_at_once() -> None:
    seen: list[dict[int, object]] = []
    gate = Gate()
    drops = [0, 0, 0]

    def handle(items: dict[int, object]) -> None:
        seen.append(items)
        gate(items)

    worker: Worker[object] = Worker(handle, _ignore)

    def counter(number: int) -> Slot[object]:
        def count() -> None:
            drops[number] += 1

        return worker.open_slot(count)

    slots = [counter(number) for number in range(3)]
    slots[1].submit("at hand")
    assert gate.entered.wait(5)
    for number, item in ((0, "a"), (2, "b"), (0, "c"), (0, "d")):
        slots[number].submit(item)
    slots[1].wait_taken()  # what waits in other slots is not waited for
    gate.open.set()
    for slot in slots:
        slot.wait_done()
    assert seen == [{1: "at hand"}, {0: "d", 2: "b"}]
    assert drops == [2, 0, 0]
    assert worker.stop(5)


def test_a_worker_that_has_ended_holds_nothing_of_its_handler() -> None:
    gate = Gate()
    worker: Worker[object] = Worker(gate, _ignore)
    held_by = weakref.ref(gate)
    gate.open.set()
    worker.open_slot(lambda: None).submit(1)
    assert worker.stop(5)
    gc.disable()  # as of what was frozen: nothing but the references counts
    try:
        del gate
        assert held_by() is None
    finally:
        gc.enable()


def test_a_busy_worker_drops_all_but_the_newest() -> None:
    gate, worker, slot = held(0)
    for item in range(1, 10):
        slot.submit(item)
    gate.open.set()
    worker.call(lambda: None).result(5)
    while len(gate.items) < 2:  # the call came before item 9
        worker.call(lambda: None).result(5)
    assert gate.items == [0, 9]
    assert gate.dropped == 8
    assert worker.stop(5)


def test_wait_taken_lasts_as_long_as_an_item_waits() -> None:
    gate, worker, slot = held()
    slot.wait_taken()  # nothing waits: returns although the handler is busy
    slot.submit("waiting")
    waiter = threading.Thread(target=slot.wait_taken, daemon=True)
    waiter.start()
    waiter.join(0.05)
    assert waiter.is_alive()
    gate.open.set()
    waiter.join(5)
    assert not waiter.is_alive()
    assert worker.stop(5)


def test_a_dropped_item_is_no_longer_waited_for() -> None:
    gate, worker, slot = held()
    slot.submit("waiting")
    waiter = threading.Thread(target=slot.wait_taken, daemon=True)
    waiter.start()
    assert not worker.stop(0.05)  # the handler is held, but the waiting item is dropped
    waiter.join(5)
    assert not waiter.is_alive()
    gate.open.set()
    assert worker.stop(5)
    assert (gate.items, gate.dropped) == (["at hand"], 1)


def test_drain_counts_the_waiting_item_and_waits_for_the_one_at_hand() -> None:
    gate, worker, slot = held()
    slot.submit("waiting")
    threading.Timer(0.05, gate.open.set).start()
    assert worker.drain(5)
    assert gate.items == ["at hand"]
    assert gate.dropped == 1
    assert worker.stop(5)


def test_a_thread_that_waits_for_another_is_stopped_with_it_and_nothing_waits_beyond_the_limit() -> None:
    gate, last, slot = held()
    first: Worker[object] = Worker(lambda items: slot.wait_taken(), _ignore)
    slot.submit("waiting")
    first.open_slot(lambda: None).submit("waits for the other's slot")
    assert not last.drain(0.05)
    slot.submit("waiting")
    begun = time.monotonic()
    assert not stop_all((first, last), 0.2)  # the one at hand is held
    assert time.monotonic() - begun < 2
    assert first.stop(5)  # what it waited for was dropped
    gate.open.set()
    assert stop_all((first, last), 5)


def test_items_that_stop_clears_or_that_come_later_are_counted() -> None:
    gate, worker, slot = held()
    slot.submit("waiting")
    threading.Timer(0.05, gate.open.set).start()
    assert worker.stop(5)
    assert (gate.items, gate.dropped) == (["at hand"], 1)
    slot.submit("late")
    assert (gate.items, gate.dropped) == (["at hand"], 2)


def test_calls_run_on_the_same_thread_and_hand_back_results_and_errors() -> None:
    gate = Gate()
    gate.open.set()
    worker: Worker[object] = Worker(gate, _ignore)
    worker.open_slot(gate.drop).submit(1)
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

    def handle(items: dict[int, int]) -> None:
        seen.extend(items.values())
        if seen == [0]:
            raise ValueError("item 0")

    worker = Worker(handle, errors.append)
    slot = worker.open_slot(lambda: None)
    slot.submit(0)
    while not errors:
        worker.call(lambda: None).result(5)
    slot.submit(1)
    while len(seen) < 2:
        worker.call(lambda: None).result(5)
    assert [str(error) for error in errors] == ["item 0"]
    assert worker.stop(5)


def test_an_idle_worker_uses_no_cpu() -> None:
    worker: Worker[int] = Worker(lambda items: None, _ignore)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    assert worker.stop(5)
