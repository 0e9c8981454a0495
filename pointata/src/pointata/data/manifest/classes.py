"""Classes as a manifest lists them: a name each, and a colour for those who care."""

from collections.abc import Sequence

from pointata.classes import UNLABELLED, ClassInfo, class_list
from pointata.data.manifest.located_yaml import Section

_Entry = str | tuple[str, tuple[int, int, int]]


def class_id(section: Section, key: str, name: object, actions: Sequence[ClassInfo]) -> int:
    """Id of the action that a key of a section names."""
    for entry in actions:
        if entry.name == name:
            return entry.id
    known = ", ".join(entry.name for entry in actions) or "none, as the manifest has no `actions`"
    raise section.error(f"unknown action {name}; known are: {known}", key)


def read_classes(top: Section, key: str) -> tuple[ClassInfo, ...]:
    """Classes numbered in the order given; those without a colour get one of their own."""
    entries: dict[str, _Entry] = {}
    items = top.items(key)
    if len(items) > UNLABELLED:
        raise top.error(f"{len(items)} classes; at most {UNLABELLED} are possible", key)
    for item in items:
        label = f"{key}[{len(entries)}]"
        if isinstance(item, Section):
            item.allow("name", "color")
            name = item.text("name")
            entry: _Entry = (name, _color(item)) if "color" in item else name
        elif isinstance(item, str) and item.strip():
            entry = name = item.strip()
        else:
            raise top.error(f"{label} must be a name, or {{name: ..., color: [red, green, blue]}}", key)
        if name in entries:
            raise top.error(f"{label}: {name} is named twice", key)
        entries[name] = entry
    return class_list(*entries.values())


def _color(item: Section) -> tuple[int, int, int]:
    values = item.items("color")
    if len(values) != 3 or not all(str(value).isdecimal() and int(value) <= 255 for value in values):
        raise item.error("must be [red, green, blue], each 0 to 255", "color")
    red, green, blue = (int(value) for value in values)
    return red, green, blue
