"""The messages: commented in the source, importable, and unchanged by serialisation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "msg").glob("*.msg"))
FIELD = re.compile(r"^(?P<type>[\w/]+(?:\[[<=\d]*\])?)\s+(?P<name>[a-z]\w*)\s*(?P<comment>#\s*\S.*)?$")

serialization = pytest.importorskip("rclpy.serialization", reason="rclpy is not installed")
msg = pytest.importorskip("ros_pointata.msg", reason="the messages are not built: make setup")


def fields(source: Path) -> list[tuple[str, str, bool]]:
    """(type, name, is commented) of every field of a .msg file."""
    found = []
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            match = FIELD.match(line)
            assert match is not None, f"{source.name}: not a field: {line}"
            found.append((match["type"], match["name"], match["comment"] is not None))
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_message_and_every_field_is_explained(source: Path) -> None:
    assert source.read_text(encoding="utf-8").startswith("# ")
    assert [name for _, name, commented in fields(source) if not commented] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_generated_class_has_the_fields_of_its_source(source: Path) -> None:
    """Fails where messages were changed but not built again."""
    generated = getattr(msg, source.stem).get_fields_and_field_types()
    assert list(generated) == [name for _, name, _ in fields(source)]


def filled(kind: type, seed: int = 1) -> Any:
    """A message in which every field differs from its default, sequences hold two entries each."""
    message = kind()
    for number, (name, declared) in enumerate(kind.get_fields_and_field_types().items(), start=seed):  # type: ignore[attr-defined]
        setattr(message, name, _value(getattr(message, name), declared, number))
    return message


def _value(default: Any, declared: str, number: int) -> Any:
    sequence = re.fullmatch(r"sequence<(.+)>", declared)
    if sequence:
        return [_scalar(sequence[1], number), _scalar(sequence[1], number + 1)]
    if hasattr(default, "get_fields_and_field_types"):
        return filled(type(default), number)
    return _scalar(declared, number)


def _scalar(declared: str, number: int) -> Any:
    if declared.startswith("ros_pointata/"):
        return filled(getattr(msg, declared.split("/")[1]), number)
    if declared == "string":
        return f"text {number}"
    if declared == "boolean":
        return True
    return number + 0.5 if declared in ("float", "double") else number


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_round_trip_through_serialisation(source: Path) -> None:
    kind = getattr(msg, source.stem)
    sent = filled(kind)
    assert sent != kind()
    assert serialization.deserialize_message(serialization.serialize_message(sent), kind) == sent
