"""What the launch files hand on is understood there: arguments of included launch files, options of the replay."""

import ast
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"


def calls(tree: ast.AST, name: str) -> list[dict[str, ast.expr]]:
    """Keyword arguments of every call of a function."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name)
    return [{keyword.arg or "": keyword.value for keyword in call.keywords} for call in found]


def strings(tree: ast.AST) -> list[str]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def declared_arguments(path: Path) -> set[str]:
    """First column of the ARGUMENTS table of a launch file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS":
            assert isinstance(node.value, ast.Tuple)
            return {strings(row)[0] for row in node.value.elts}
    raise AssertionError(f"{path.name} has no ARGUMENTS")


@pytest.mark.parametrize("path", sorted(LAUNCH.glob("*.launch.py")), ids=lambda path: path.name)
def test_included_launch_files_declare_the_arguments_they_are_given(path: Path) -> None:
    for include in calls(ast.parse(path.read_text(encoding="utf-8")), "IncludeLaunchDescription"):
        given = next(node for node in ast.walk(include["launch_arguments"]) if isinstance(node, ast.Dict))
        keys = {str(key.value) for key in given.keys if isinstance(key, ast.Constant)}
        assert keys
        assert keys <= declared_arguments(LAUNCH / "pointata.launch.py")


def test_replay_knows_the_options_it_is_started_with() -> None:
    cli = pytest.importorskip("ros_pointata.replay.cli", reason="the replay's dependencies are not installed")
    nodes = calls(ast.parse((LAUNCH / "demo.launch.py").read_text(encoding="utf-8")), "Node")
    (arguments,) = (node["arguments"] for node in nodes if strings(node["executable"]) == ["replay"])
    options = {text for text in strings(arguments) if text.startswith("--")}
    assert options
    assert options <= set(cli.build_parser()._option_string_actions)
