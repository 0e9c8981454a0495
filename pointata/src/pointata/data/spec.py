"""How data are named everywhere: [NAME:]PATH[?option=value&...], as mars:~/data/mars or walk.mcap?topic=/points."""

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pointata.errors import DataError
from pointata.text import did_you_mean

_WORDS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class Spec:
    """The parts of a spec.

    Attributes:
        text: the whole of it, for messages.
        name: of a format; "" where only a path is given.
        target: the path as written, or what stands in its place (a scene of the simulator).
        options: after the question mark: text, or what a caller in Python gave.
    """

    text: str
    name: str
    target: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        """As it was written."""
        return self.text

    @property
    def path(self) -> Path:
        """The target as a path, the home folder filled in."""
        try:
            return Path(self.target).expanduser()
        except RuntimeError as error:
            raise DataError(f"{self}: {error}; write the path out") from error


def parse_spec(text: str | Path) -> Spec:
    """Take a spec apart. What exists as a path is one, whatever characters it has; a Path is always one.

    Raises:
        DataError: an option that is not written option=value.
    """
    whole = Spec(str(text), "", str(text), {})
    if isinstance(text, Path) or os.path.exists(whole.path):
        return whole
    place, _, query = text.partition("?")
    options = {}
    for pair in filter(None, query.split("&")):
        option, equals, value = pair.partition("=")
        if not equals:
            raise DataError(f"{text}: write {pair} as {pair}=VALUE")
        options[option] = value
    name, colon, target = place.partition(":")
    if colon and re.fullmatch(r"[\w-]+", name):
        return Spec(text, name, target, options)
    return Spec(text, "", place, options)


def options_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options of what opens a target: all that it takes besides it."""
    _, *options = inspect.signature(function).parameters.values()
    return {option.name: option for option in options}


def typed_options(spec: Spec | str, given: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The options as what they are, numbers as numbers; a value that is not text is taken as it is.

    Args:
        spec: for messages.
        given: options by name.
        known: what can be given, with its type.

    Raises:
        DataError: an option that is not known, lacks, or has a value of another kind.
    """
    for name in given:
        if name not in known:
            offered = "; ".join(_described(parameter) for parameter in known.values())
            raise DataError(f"{spec}: unknown option {name}{did_you_mean(name, known)}; known: {offered or 'none'}")
    missing = [p for p in known.values() if p.default is p.empty and p.name not in given]
    if missing:
        raise DataError(f"{spec} lacks {_described(missing[0])}")
    return {name: _value(f"{spec}: {name}", value, known[name].annotation) for name, value in given.items()}


def _described(parameter: inspect.Parameter) -> str:
    default = parameter.default
    stated = "" if default in (None, (), parameter.empty) else f", {default} by default"
    return f"{parameter.name} ({_kind(parameter.annotation)[1]}{stated})"


def _kind(annotation: Any) -> tuple[Any, str]:
    """The type that an option's annotation asks for, None aside, and what a sentence calls it."""
    if NoneType in get_args(annotation):
        annotation = next(part for part in get_args(annotation) if part is not NoneType)
    if get_origin(annotation) is Literal:
        return annotation, f"one of {', '.join(get_args(annotation))}"
    if get_origin(annotation) is tuple:
        return tuple, "names with commas between"
    return annotation, {bool: "true or false", int: "a whole number", float: "a number"}.get(annotation, "text")


def _value(what: str, given: Any, annotation: Any) -> Any:
    kind, called = _kind(annotation)
    if not isinstance(given, str):
        return given
    try:
        return _read(given, kind)
    except (KeyError, ValueError) as error:
        raise DataError(f"{what} must be {called}, not {given!r}") from error


def _read(text: str, kind: Any) -> Any:
    """A text as a value of a kind; KeyError or ValueError where it is none."""
    if kind is bool:
        return _WORDS[text.lower()]
    if kind is tuple:
        return tuple(name for name in text.split(",") if name)
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise ValueError(text)
    value = kind(text) if kind in (int, float) else text
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)
    return value
