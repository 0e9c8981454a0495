"""YAML whose every complaint names the file, the line and the entry.

By hand on PyYAML, after a trial of others: ruamel.yaml has line numbers in its round-trip loader alone, which turns
`01` into 1 and recurses without a bound; strictyaml takes 18 s for 2,000 entries, PyYAML 1 s, and refuses {path: ...};
with pydantic the three modules would be 11 lines shorter, and nine sentences would lose what to do.
"""

from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

from pointata.errors import DataError
from pointata.text import nearest_name

# What a file written by hand stays far below, and what a reader can work through in a moment.
_LARGEST_FILE = 2_000_000
_LONGEST_TEXT = 4096
_DEEPEST = 20


class Section:
    """One mapping of a YAML file; hands out its values and says where it stands when one is wrong.

    All plain values are text until asked for as something else: `on`, `no` and `01` stay the names they are.
    """

    def __init__(self, file: Path, label: str, mapping: "_Mapping") -> None:
        """Args: file: where it stands. label: name of the section for messages; "" for the whole file."""
        self.file, self.label = file, label
        self._mapping = mapping

    def __contains__(self, key: str) -> bool:
        return key in self._mapping

    def place(self, key: str | None = None) -> str:
        """File, line and name of the section, or of one of its keys."""
        line = self._mapping.lines.get(key or "", self._mapping.line)
        label = ".".join(part for part in (self.label, key) if part)
        return f"{self.file}, line {line}" + (f" ({label})" if label else "")

    def error(self, text: str, key: str | None = None) -> DataError:
        """The error to raise about the section or one of its keys."""
        return DataError(f"{self.place(key)}: {text}")

    def allow(self, *keys: str) -> None:
        """Refuse every other key."""
        for key in self._mapping:
            if key not in keys:
                near = nearest_name(key, keys)
                hint = f"did you mean {near}?" if near else f"known are {', '.join(keys)}"
                raise self.error(f"unknown key; {hint}", key)

    def text(self, key: str) -> str:
        """A name that must be given."""
        if key not in self._mapping:
            raise self.error(f"{key} is missing")
        value = self._mapping[key]
        if not isinstance(value, str) or not value.strip():
            raise self.error("must be a name", key)
        return value.strip()

    def number(self, key: str) -> float:
        """A finite number, 0 or more, that must be given."""
        text = self.text(key)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise self.error(f"must be a number, 0 or more, not {text}", key)
        return value

    def items(self, key: str) -> list[Any]:
        """A list: of texts, lists and sections; empty where the key is absent."""
        values = self._mapping.get(key, [])
        if not isinstance(values, list):
            raise self.error("must be a list", key)
        label = ".".join(part for part in (self.label, key) if part)
        return [
            Section(self.file, f"{label}[{index}]", value) if isinstance(value, _Mapping) else value
            for index, value in enumerate(values)
        ]

    def pairs(self, key: str) -> dict[str, Any]:
        """A mapping of names to names."""
        values = self._mapping[key]
        if not isinstance(values, _Mapping):
            raise self.error("must be a mapping of names, such as {left: right}, or {}", key)
        return dict(values)

    def is_list(self, key: str) -> bool:
        """Whether the value is a list."""
        return isinstance(self._mapping.get(key), list)


class _Mapping(dict[str, Any]):
    """A mapping with its own line and those of its keys, counted from 1."""

    line = 1
    lines: dict[str, int]


class _Loader(yaml.BaseLoader):
    """Leaves plain values as text; mappings know their lines.

    A few bytes of YAML can stand for gigabytes (aliases of aliases) or exhaust the stack (brackets in brackets), so
    neither is taken; nor is text that no name, number or path holds.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise _problem("aliases (*name) are not read here; write the value out", mark)
        if self.depth == _DEEPEST:
            raise _problem(f"nested deeper than {_DEEPEST} levels", mark)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def text(self, node: yaml.ScalarNode) -> str:
        value = str(self.construct_scalar(node))
        if len(value) > _LONGEST_TEXT:
            raise _problem(f"a text of {len(value)} characters; at most {_LONGEST_TEXT} are read", node.start_mark)
        if any(category(character) in ("Cc", "Cs") for character in value.strip()):
            raise _problem(f"{value!r} holds a line break or another control character", node.start_mark)
        return value

    def mapping(self, node: yaml.MappingNode) -> _Mapping:
        result = _Mapping()
        result.line, result.lines = node.start_mark.line + 1, {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _problem("a key must be a name", key_node.start_mark)
            key = self.text(key_node)
            if key in result:
                raise _problem(f"{key} is given twice", key_node.start_mark)
            result[key] = self.construct_object(value_node, deep=True)
            result.lines[key] = key_node.start_mark.line + 1
        return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG, _Loader.text)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _Loader.mapping)


def _problem(text: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, text, mark)


def read_section(file: Path) -> Section:
    """Read a YAML file whose top level is a mapping."""
    try:
        size = file.stat().st_size
        if size > _LARGEST_FILE:
            raise DataError(f"{file} has {size} bytes; at most {_LARGEST_FILE} are read")
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # texts, lists and _Mapping only
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{file}{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, OSError) as error:  # ValueError: no UTF-8, or an escape beyond Unicode
        raise DataError(f"{file} cannot be read as YAML ({error})") from error
    if not isinstance(content, _Mapping):
        raise DataError(f"{file} must hold `key: value` lines")
    return Section(file, "", content)
