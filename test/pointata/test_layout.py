"""The layout of `pointata`: what is above knows what is below, no circle of imports, few modules at the top."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pointata

SOURCE = Path(pointata.__file__).parent
#: From the bottom to the top: what a name imports stands before it.
ORDER = (
    *("errors", "text", "classes", "system", "paths"),
    *("geometry", "frame", "prediction", "model", "preprocessing", "bundles", "inference"),
    *("data", "training", "pretraining", "alignment", "adaptation"),
    *("evaluation", "report", "cli"),
)
MOST_AT_THE_TOP = 8


def module_name(path: Path) -> str:
    """Dotted name below `pointata`; "" for the package itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in SOURCE.rglob("*.py")}


def imports(name: str) -> set[str]:
    """Modules of `pointata` that a module imports, anywhere in its text; the package's own names stand for none."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pointata":
            base = node.module.removeprefix("pointata").removeprefix(".")
            inner = {f"{base}.{alias.name}".removeprefix(".") for alias in node.names}
            found |= {module if module in MODULES else base for module in inner}
    return found - {name, ""}


def test_every_folder_has_its_place() -> None:
    assert {name.split(".")[0] for name in MODULES if name} == set(ORDER)


def test_imports_go_down_only() -> None:
    places = {name: place for place, name in enumerate(ORDER)}
    climbing = [
        f"{name} imports {other}"
        for name in MODULES
        if name
        for other in imports(name)
        if other and places[other.split(".")[0]] > places[name.split(".")[0]]
    ]
    assert not climbing


def test_there_is_no_circle_of_modules() -> None:
    """graphlib raises CycleError with the modules of a circle, which is the message."""
    graph = {name: imports(name) for name in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_few_modules_stand_at_the_top() -> None:
    assert len([path for path in SOURCE.glob("*.py") if path.stem != "__init__"]) <= MOST_AT_THE_TOP


def test_the_graph_sees_the_imports() -> None:
    """The checks above would pass if nothing were found."""
    assert {"frame", "inference.stream", "preprocessing.sampling", "bundles.bundle"} <= imports("inference.predictor")
