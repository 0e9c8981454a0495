"""What is known of a task without torch."""

from enum import Enum
from typing import NamedTuple

from pointata.classes import ClassInfo


class Scope(Enum):
    """What a task gives a class to; the truth of windows and frames is `LabelledFrame.action`."""

    WINDOW = "window"
    FRAME = "frame"
    POINT = "point"


class Kind(NamedTuple):
    """What is known of a task without torch.

    Attributes:
        scope: what it gives a class to.
        classes: where they are the same whatever the data; None where the data name them.
    """

    scope: Scope
    classes: tuple[ClassInfo, ...] | None = None
