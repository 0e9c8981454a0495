"""Rules for plain data from a file: each takes a value and says what it must be, naming the field and the value."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from pointata.errors import ConfigError
from pointata.text import cut

T = TypeVar("T")
K = TypeVar("K")

#: Takes a value and the name of its field; returns the value, lists as tuples, or raises ConfigError.
Rule = Callable[[Any, str], T]


def refuse(where: str, value: Any, allowed: str) -> NoReturn:
    """Raise the ConfigError that names field, value (cut) and what is allowed."""
    raise ConfigError(f"{where} is {shown(value)}, allowed: {allowed}")


def shown(value: Any, most: int = 60) -> str:
    """A value as a sentence shows it: JSON-like, cut where it is long, without what is nested."""
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    return cut(ascii(value), most)


def whole(least: int, most: int) -> Rule[int]:
    """A whole number; true and false are none."""

    def rule(value: Any, where: str) -> int:
        if type(value) is not int or not least <= value <= most:
            refuse(where, value, f"a whole number from {least} to {most}")
        return value

    return rule


def number(least: float, most: float) -> Rule[float]:
    """A finite number; true and false are none."""

    def rule(value: Any, where: str) -> float:
        if type(value) not in (int, float) or not least <= value <= most or not math.isfinite(value):
            refuse(where, value, f"a number from {least:g} to {most:g}")
        return float(value)

    return rule


def flag(value: Any, where: str) -> bool:
    """true or false."""
    if type(value) is not bool:
        refuse(where, value, "true or false")
    return value


def text(most: int = 200, least: int = 1) -> Rule[str]:
    """Printable text of at least and at most so many bytes of UTF-8."""

    def rule(value: Any, where: str) -> str:
        if not isinstance(value, str) or not value.isprintable() or not least <= len(value.encode()) <= most:
            refuse(where, value, f"printable text of {least} to {most} bytes")
        return value

    return rule


def listing(rule: Rule[T], least: int, most: int) -> Rule[tuple[T, ...]]:
    """A list of so many values that each follow a rule."""

    def whole_list(value: Any, where: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            count = f"{least}" if least == most else f"{least} to {most}"
            refuse(where, value, f"a list of {count}")
        return tuple(rule(item, f"{where}[{number}]") for number, item in enumerate(value))

    return whole_list


def mapping(key: Rule[K], rule: Rule[T], most: int) -> Rule[dict[K, T]]:
    """A mapping whose keys and values each follow a rule."""

    def whole_mapping(value: Any, where: str) -> dict[K, T]:
        if not isinstance(value, Mapping) or len(value) > most:
            refuse(where, value, f"a mapping of at most {most}")
        return {key(name, f"a key of {where}"): rule(item, f"{where}.{shown(name)}") for name, item in value.items()}

    return whole_mapping


def one_of(*choices: str) -> Rule[str]:
    """One of some words."""

    def rule(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in choices:
            refuse(where, value, ", ".join(choices))
        return value

    return rule


def record(rules: Mapping[str, Rule[Any]], optional: Mapping[str, Rule[Any]] = {}) -> Rule[dict[str, Any]]:
    """A mapping of known fields, each with a rule of its own; those of `optional` may be absent, others may not be."""

    def rule(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            refuse(where, value, f"a mapping with {', '.join(rules)}")
        missing = [name for name in rules if name not in value]
        if missing:
            raise ConfigError(f"{where} lacks {', '.join(missing)}")
        strangers = [name for name in value if name not in rules and name not in optional]
        if strangers:
            raise ConfigError(f"{where} has the unknown field {shown(strangers[0])}: a newer pointata may know it")
        known = {**rules, **optional}
        return {name: known[name](item, f"{where}.{name}" if where else name) for name, item in value.items()}

    return rule


def plain(depth: int = 6, most: int = 10_000) -> Rule[Any]:
    """Anything that JSON can say, nested to a depth."""

    def rule(value: Any, where: str) -> Any:
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int | float):
            number(-1e300, 1e300)(value, where)
            return value
        if depth and isinstance(value, list | tuple):
            return list(listing(plain(depth - 1, most), 0, most)(value, where))
        if depth and isinstance(value, Mapping):
            return mapping(text(), plain(depth - 1, most), most)(value, where)
        refuse(where, value, f"text, numbers, lists and mappings, nested at most {depth} deep")

    return rule
