"""The imports of a package among its own modules, for the tests of the layouts."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path


class ModuleGraph:
    """The modules of one package by dotted name below it; "" is the package itself.

    Args:
        source: the package's folder.
        generated: folders that are left out.
    """

    def __init__(self, source: Path, generated: tuple[str, ...] = ()) -> None:
        self._package = source.name
        parts = {path: path.relative_to(source).with_suffix("").parts for path in source.rglob("*.py")}
        self.modules = {
            ".".join(part for part in names if part != "__init__"): path
            for path, names in parts.items()
            if names[0] not in generated
        }
        self.at_the_top = [path for path in source.glob("*.py") if path.stem != "__init__"]

    def imports(self, name: str) -> set[str]:
        """Modules of the package that one imports, anywhere in its text; the package's own names stand for none.

        Not seen is what a table names as text and imports when it is asked for: commands, tasks, formats. That is what
        such a table is for, and its entries may know it.
        """
        found: set[str] = set()
        for node in ast.walk(ast.parse(self.modules[name].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.removeprefix(f"{self._package}.") for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relative to itself, which this graph does not follow"
                if node.module and node.module.split(".")[0] == self._package:
                    base = node.module.removeprefix(self._package).removeprefix(".")
                    inner = {f"{base}.{alias.name}".removeprefix(".") for alias in node.names}
                    found |= {module if module in self.modules else base for module in inner}
        return (found & set(self.modules)) - {name, ""}

    def places(self) -> set[str]:
        """The names right below the package."""
        return {name.split(".")[0] for name in self.modules if name}

    def climbing(self, order: tuple[str, ...]) -> list[str]:
        """Imports of what stands above, in an order from the bottom to the top."""
        places = {name: place for place, name in enumerate(order)}
        return [
            f"{name} imports {other}"
            for name in self.modules
            if name
            for other in self.imports(name)
            if places[other.split(".")[0]] > places[name.split(".")[0]]
        ]

    def sorted(self) -> list[str]:
        """All modules, each after those it imports; graphlib's CycleError names the modules of a circle."""
        return list(TopologicalSorter({name: self.imports(name) for name in self.modules}).static_order())
