"""Classes of a labelled task: id, name and colour."""

import colorsys
from dataclasses import dataclass

#: Label of a point that the network did not see or that carries no ground truth.
UNLABELLED = 255


@dataclass(frozen=True)
class ClassInfo:
    """One class of a task.

    Attributes:
        id: index into the score vector, 0 to 254.
        name: what users read.
        color: red, green, blue, each 0 to 255.
    """

    id: int
    name: str
    color: tuple[int, int, int]


def class_list(*entries: str | tuple[str, tuple[int, int, int]]) -> tuple[ClassInfo, ...]:
    """Number names, or (name, colour) pairs, 0, 1, 2, ... in the order given; a name alone gets a colour of its own."""
    named = ((entry, _color(index)) if isinstance(entry, str) else entry for index, entry in enumerate(entries))
    return tuple(ClassInfo(index, name, color) for index, (name, color) in enumerate(named))


def _color(index: int) -> tuple[int, int, int]:
    """Each hue is the golden ratio of a turn after the last, so that neighbours differ however many there are."""
    red, green, blue = colorsys.hsv_to_rgb((0.58 + 0.6180339887 * index) % 1, 0.75, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
