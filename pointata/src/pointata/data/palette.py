"""Colours for classes whose data set gives them none."""

import colorsys

from pointata.classes import ClassInfo

_GOLDEN_RATIO = 0.6180339887


def coloured(*names: str) -> tuple[ClassInfo, ...]:
    """Classes 0, 1, 2, ... of the given names; each hue is the golden ratio of a turn after the last: far from it."""
    hues = (colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, 0.75, 0.9) for index in range(len(names)))
    colors = [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in hues]
    return tuple(ClassInfo(index, name, color) for index, (name, color) in enumerate(zip(names, colors, strict=True)))
