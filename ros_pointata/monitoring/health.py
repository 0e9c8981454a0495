"""What the node counts and knows of its own state; three threads fill it, diagnostics read it. Imports no ROS."""

import threading
from collections import Counter, deque
from collections.abc import Collection

import numpy as np

from pointata.text import cut

#: received = inferred + dropped + skipped + rejected + failed + ignored + those under way (at most 4).
FRAME_COUNTERS = ("received", "inferred", "dropped", "skipped", "rejected", "failed", "ignored")
OTHER_COUNTERS = ("resets", "messages lost", "incompatible qos")
#: Characters of one sentence at most; what clouds and files call themselves may be of any length.
LONGEST = 1000
#: Topic of the warning about the start parameters, which stands as long as the node.
PARAMETERS = "parameters"


class Health:
    """Counters, last reasons and standing warnings; every method may be called from any thread.

    Frame counters: received (every cloud), inferred (answered), dropped (overwritten while the model was busy, or
    waiting when the node was deactivated or cleaned up), skipped (left out by the stride, whether or not it is joined
    into a later frame), rejected (unusable), failed (the model raised), ignored (~/enable is false).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._facts: dict[str, str] = {}
        self._warnings: dict[str, str] = {}
        self._latencies_ms: deque[float] = deque(maxlen=200)
        self._error = ""
        self._caution = ""

    def count(self, counter: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[counter] += by

    def note(self, fact: str, value: str) -> None:
        """State a fact; it stands until it is stated again."""
        with self._lock:
            self._facts[fact] = cut(value, LONGEST)

    def warn(self, topic: str, sentence: str) -> bool:
        """Set the standing warning on a topic; an empty sentence takes it back. True where there was none before."""
        with self._lock:
            if not sentence:
                self._warnings.pop(topic, None)
                return False
            new = topic not in self._warnings
            self._warnings[topic] = cut(sentence, LONGEST)
            return new

    def clear_warnings(self, keep: Collection[str] = ()) -> None:
        """Take back every standing warning, but for the topics to keep."""
        with self._lock:
            self._warnings = {topic: text for topic, text in self._warnings.items() if topic in keep}

    def fail(self, sentence: str) -> None:
        """Set the error that keeps the node from working; empty takes it back."""
        with self._lock:
            self._error = cut(sentence, LONGEST)

    def caution(self, sentence: str) -> None:
        """Set what holds of the answers though nothing is wrong with the node; empty takes it back."""
        with self._lock:
            self._caution = sentence

    def summary(self) -> str:
        """What to say where there is neither error nor warning."""
        with self._lock:
            return f"no complaints; {self._caution}" if self._caution else "no complaints"

    def answered(self, latency_ms: float) -> None:
        """Count an inferred cloud and its latency from receipt to publication."""
        with self._lock:
            self._counts["inferred"] += 1
            self._latencies_ms.append(latency_ms)

    def counts(self) -> dict[str, int]:
        """All counters, zero where nothing was counted."""
        with self._lock:
            return {name: self._counts[name] for name in (*FRAME_COUNTERS, *OTHER_COUNTERS)}

    @property
    def error(self) -> str:
        """The error that keeps the node from working; empty where it works."""
        with self._lock:
            return self._error

    def warnings(self) -> list[str]:
        """The standing warnings."""
        with self._lock:
            return list(self._warnings.values())

    def values(self) -> dict[str, str]:
        """Everything as key and text, for diagnostics and logs."""
        with self._lock:
            result = {f"frames {name}": str(self._counts[name]) for name in FRAME_COUNTERS}
            result |= {name: str(self._counts[name]) for name in OTHER_COUNTERS}
            if self._latencies_ms:
                p50, p99 = np.percentile(self._latencies_ms, (50, 99))
                result["latency last (ms)"] = f"{self._latencies_ms[-1]:.1f}"
                result["latency p50 of last 200 (ms)"] = f"{p50:.1f}"
                result["latency p99 of last 200 (ms)"] = f"{p99:.1f}"
            return result | self._facts | {f"warning: {topic}": text for topic, text in self._warnings.items()}
