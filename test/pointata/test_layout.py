"""The layout of both packages: what is above knows what is below, no circle of imports, few modules at the top."""

from pathlib import Path
from typing import NamedTuple

import pytest
from module_graph import ModuleGraph

import pointata


class Layout(NamedTuple):
    """A package, the order of its folders, and imports of a module that are known."""

    graph: ModuleGraph
    #: From the bottom to the top: what a name imports stands before it.
    order: tuple[str, ...]
    module: str
    imports: set[str]


POINTATA = Layout(
    ModuleGraph(Path(pointata.__file__).parent),
    (
        *("errors", "text", "classes", "system", "paths"),
        *("geometry", "frame", "prediction", "metrics", "tasks", "model", "preprocessing", "bundles", "inference"),
        *("data", "training", "pretraining", "alignment", "adaptation"),
        *("evaluation", "report", "cli"),
    ),
    "inference.predictor",
    {"frame", "inference.stream", "model.streaming", "bundles.bundle"},
)
ROS_POINTATA = Layout(
    ModuleGraph(Path(__file__).resolve().parents[2] / "ros_pointata", generated=("msg", "srv")),
    (
        *("arguments", "commands", "launch_checks", "config", "monitoring"),
        *("model", "io", "motion", "runtime", "executable", "node"),
        *("replay", "testing"),
    ),
    "runtime.lane",
    {"io.publishers", "motion.sources", "monitoring.health", "runtime.worker"},
)
MOST_AT_THE_TOP = 8

pytestmark = pytest.mark.parametrize("layout", [POINTATA, ROS_POINTATA], ids=["pointata", "ros_pointata"])


def test_every_folder_has_its_place(layout: Layout) -> None:
    assert layout.graph.places() == set(layout.order)


def test_imports_go_down_only(layout: Layout) -> None:
    assert not layout.graph.climbing(layout.order)


def test_there_is_no_circle_of_modules(layout: Layout) -> None:
    assert len(layout.graph.sorted()) == len(layout.graph.modules)


def test_few_modules_stand_at_the_top(layout: Layout) -> None:
    assert len(layout.graph.at_the_top) <= MOST_AT_THE_TOP


def test_the_graph_sees_the_imports(layout: Layout) -> None:
    """The checks above would pass if nothing were found."""
    assert layout.imports <= layout.graph.imports(layout.module)
