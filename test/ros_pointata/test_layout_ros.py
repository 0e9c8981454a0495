"""The layout of `ros_pointata`: what is above knows what is below, no circle of imports, few modules at the top."""

from pathlib import Path

from module_graph import ModuleGraph

GRAPH = ModuleGraph(Path(__file__).resolve().parents[2] / "ros_pointata", generated=("msg", "srv"))
#: From the bottom to the top: what a name imports stands before it.
ORDER = (
    *("arguments", "commands", "launch_checks", "config", "monitoring"),
    *("model", "io", "motion", "runtime", "executable", "node"),
    *("replay", "testing"),
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
    assert {"io.publishers", "motion.sources", "monitoring.health", "runtime.worker"} <= GRAPH.imports("runtime.lane")
