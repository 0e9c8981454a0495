"""Classes of a labelled task: id, name and colour."""

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


def class_list(*entries: tuple[str, tuple[int, int, int]]) -> tuple[ClassInfo, ...]:
    """Number (name, colour) pairs 0, 1, 2, ... in the order given."""
    return tuple(ClassInfo(index, name, color) for index, (name, color) in enumerate(entries))
