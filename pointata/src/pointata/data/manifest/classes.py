"""Classes as a manifest lists them: a name each, and a colour for those who care."""

import colorsys
from collections.abc import Sequence

from pointata.classes import UNLABELLED, ClassInfo
from pointata.data.manifest.located_yaml import Section


def class_id(section: Section, key: str, name: object, actions: Sequence[ClassInfo]) -> int:
    """Id of the action that a key of a section names."""
    for entry in actions:
        if entry.name == name:
            return entry.id
    known = ", ".join(entry.name for entry in actions) or "none, as the manifest has no `actions`"
    raise section.error(f"unknown action {name}; known are: {known}", key)


def read_classes(top: Section, key: str) -> tuple[ClassInfo, ...]:
    """Classes numbered in the order given; those without a colour get one of their own."""
    result: list[ClassInfo] = []
    items = top.items(key)
    if len(items) > UNLABELLED:
        raise top.error(f"{len(items)} classes; at most {UNLABELLED} are possible", key)
    for item in items:
        label = f"{key}[{len(result)}]"
        color = _default_color(len(result))
        if isinstance(item, Section):
            item.allow("name", "color")
            name = item.text("name")
            color = _color(item) if "color" in item else color
        elif isinstance(item, str) and item.strip():
            name = item.strip()
        else:
            raise top.error(f"{label} must be a name, or {{name: ..., color: [red, green, blue]}}", key)
        if name in (entry.name for entry in result):
            raise top.error(f"{label}: {name} is named twice", key)
        result.append(ClassInfo(len(result), name, color))
    return tuple(result)


def _color(item: Section) -> tuple[int, int, int]:
    values = item.items("color")
    if len(values) != 3 or not all(str(value).isdecimal() and int(value) <= 255 for value in values):
        raise item.error("must be [red, green, blue], each 0 to 255", "color")
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _default_color(index: int) -> tuple[int, int, int]:
    """Hues a golden section apart, so that neighbours differ however many there are."""
    red, green, blue = colorsys.hsv_to_rgb(0.58 + 0.618034 * index, 0.75, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
