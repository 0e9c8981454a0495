"""What a file of `pointata.data.formats` declares about what it opens, and where all declarations are found.

A new format is a new file there with a `RECORDING`, a `DATASET`, or both; nothing else knows their names.
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from inspect import Parameter
from typing import Any

from pointata.data.spec import Spec, options_of


@dataclass(frozen=True)
class Layout:
    """One way in which data lie on disk.

    Attributes:
        name: before the colon of a spec.
        text: what lies there, for lists and messages.
        opener: given the path (or scene) and options, returns a `Recording` or a `Dataset`; its signature states the
            options and their types.
        recognises: whether a path is of this layout, where a spec gives no name.
        on_disk: whether the target is a path.
        options_for: the options for a spec, where they depend on its target.
    """

    name: str
    text: str
    opener: Callable[..., Any]
    recognises: Callable[[Spec], bool] = lambda spec: False
    on_disk: bool = True
    options_for: Callable[[Spec], Mapping[str, Parameter]] | None = None

    def options(self, spec: Spec) -> Mapping[str, Parameter]:
        """What the opener takes besides the target."""
        return options_of(self.opener) if self.options_for is None else self.options_for(spec)


def recording_layouts() -> dict[str, Layout]:
    """Layouts of a single recording, by name."""
    return _declared("RECORDING")


def dataset_layouts() -> dict[str, Layout]:
    """Layouts of a data set, by name."""
    return _declared("DATASET")


@cache
def _declared(kind: str) -> dict[str, Layout]:
    """In the order of the files' names: of several that recognise a path the first opens it."""
    package = import_module("pointata.data.formats")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [import_module(f"{package.__name__}.{name}") for name in names]
    found = [getattr(module, kind) for module in modules if hasattr(module, kind)]
    return {layout.name: layout for layout in found}
