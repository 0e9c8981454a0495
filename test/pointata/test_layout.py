"""The layout of `pointata`: what is above knows what is below, no circle of imports, few modules at the top."""

from pathlib import Path

from module_graph import ModuleGraph

import pointata

GRAPH = ModuleGraph(Path(pointata.__file__).parent)
#: From the bottom to the top: what a name imports stands before it.
ORDER = (
    *("errors", "text", "classes", "system", "paths"),
    *("geometry", "frame", "prediction", "metrics", "tasks", "model", "preprocessing", "bundles", "inference"),
    *("data", "training", "pretraining", "alignment", "adaptation"),
    *("evaluation", "report", "cli"),
)
MOST_AT_THE_TOP = 8


def test_every_folder_has_its_place() -> None:
    assert GRAPH.places() == set(ORDER)


def test_imports_go_down_only() -> None:
    assert not GRAPH.climbing(ORDER)


def test_there_is_no_circle_of_modules() -> None:
    assert len(GRAPH.sorted()) == len(GRAPH.modules)


def test_few_modules_stand_at_the_top() -> None:
    assert len(GRAPH.at_the_top) <= MOST_AT_THE_TOP


def test_the_graph_sees_the_imports() -> None:
    """The checks above would pass if nothing were found."""
    seen = GRAPH.imports("inference.predictor")
    assert {"frame", "inference.stream", "model.streaming", "bundles.bundle"} <= seen
