"""What a task gives a class to."""

from enum import Enum


class Scope(Enum):
    """What a task gives a class to; the truth of windows and frames is `LabelledFrame.action`."""

    WINDOW = "window"
    FRAME = "frame"
    POINT = "point"
