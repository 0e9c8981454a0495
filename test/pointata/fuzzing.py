"""What the fuzz tests share: how many examples they try, how inputs are damaged, and the guard around each attempt.

A few examples, the same each time, in `make test`; all of them, new ones each time, in `make fuzz`.
"""

import copy
import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pointata import PointataError

FULL = os.environ.get("POINTATA_FUZZ") == "full"
HANG_S = 60
#: What a single attempt may take; the inputs are far smaller.
MEMORY = 512 * 2**20

Result = TypeVar("Result")


def examples(short: int, full: int) -> settings:
    """Settings of a fuzz test by the number of its examples."""
    return settings(
        max_examples=full if FULL else short,
        derandomize=not FULL,
        database=None,
        deadline=None,  # `Watch` has its own
        suppress_health_check=list(HealthCheck),
    )


class Hang(BaseException):
    """An attempt took longer than `HANG_S`; no `except Exception` stops it."""


class Watch:
    """Counts how attempts end; anything but a result or an error of the project's own fails the test."""

    def __init__(self) -> None:
        self.accepted = self.refused = 0
        self.slowest_s, self.most_memory = 0.0, 0
        self._start = time.monotonic()

    def attempt(self, action: Callable[[], Result], takes_claims: bool = False) -> Result | None:
        """The result, or None where the input was refused with a sentence.

        Args:
            action: reads the input.
            takes_claims: it asks for as much memory as a damaged file claims to need, but leaves it untouched.
        """
        start, before = time.monotonic(), _reset_peak()
        result, refusal = None, None
        with _limits():
            try:
                result = action()
            except PointataError as error:
                refusal = error
        self.slowest_s = max(self.slowest_s, time.monotonic() - start)
        self.most_memory = max(self.most_memory, _status("VmHWM") - before)
        self.accepted += refusal is None
        self.refused += refusal is not None
        assert refusal is None or 10 < len(str(refusal)) < 20_000
        assert self.most_memory < MEMORY
        assert takes_claims or not _memory_ran_out(refusal), "refused only because the memory ran out"
        return result

    def __str__(self) -> str:
        return (
            f"{self.accepted + self.refused} attempts: {self.accepted} accepted, {self.refused} refused in a sentence, "
            f"0 others; {time.monotonic() - self._start:.0f} s, the slowest {self.slowest_s:.2f} s; "
            f"at most {self.most_memory / 2**20:.0f} MiB for one"
        )


@contextmanager
def _limits() -> Iterator[None]:
    """A hang becomes an error (in compiled code that does not return: the end of the process), too much memory too."""

    def stop(*_: object) -> None:
        raise Hang(f"no end within {HANG_S} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    faulthandler.dump_traceback_later(2 * HANG_S, exit=True, file=2)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _status(name: str) -> int:
    """A size in bytes of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


def _reset_peak() -> int:
    """Start the process's memory peak anew; bytes resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _memory_ran_out(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


SPECIAL_NUMBERS = [
    0, -1, 1, 2, 255, 256, 65_535, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**400, 1e-320, 1e30, 1e308,
    float("nan"), float("inf"), -float("inf"), 0.1, -0.0,
]  # fmt: skip
SPECIAL_TEXTS = [
    "",
    " ",
    "nan",
    "0.1",
    "x" * 300,
    "x" * 5000,
    "../../etc/passwd",
    "~nosuchuser/x",
    "a\0b",
    "ä\u202e",
    "/",
]

#: Whatever JSON and YAML can hold.
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(SPECIAL_NUMBERS) | st.integers() | st.floats()
    | st.sampled_from(SPECIAL_TEXTS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, tree: Any, least: int = 1, most: int = 3) -> Any:
    """A tree of mappings and lists with a few places changed: other values, gone, doubled, renamed, nested, moved."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(least, most))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "scale", "remove", "double", "rename", "nest", "move"])):
            case "replace":
                holder[key] = draw(VALUES)
            case "scale" if isinstance(holder[key], int | float):
                factor = draw(st.sampled_from([-1, 0, 0.5, 2, 1000, 1e30, 1e-30]))
                holder[key] = type(holder[key])(holder[key] * factor)
            case "remove":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from(SPECIAL_TEXTS))] = holder.pop(key)
            case "nest":
                holder[key] = [holder[key]] if draw(st.booleans()) else {"a": holder[key]}
            case "move":
                other, place = draw(st.sampled_from(places))
                holder[key] = copy.deepcopy(other[place])
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)


@st.composite
def damaged(draw: st.DrawFn, content: bytes, most: int = 3) -> bytes:
    """Bytes with bits flipped, pieces overwritten, cut out, doubled or put in, or the end cut off."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([1, 2, 4, 8, 64, 1000]))
        match draw(st.sampled_from(["flip", "flip", "fill", "remove", "double", "insert", "cut"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "fill":
                data[at : at + length] = draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b"["])) * length
            case "remove":
                del data[at : at + length]
            case "double":
                data[at:at] = data[at : at + length]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "cut":
                del data[at:]
    return bytes(data)
