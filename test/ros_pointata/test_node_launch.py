"""The launch files, statically: they compile, and name executables, arguments, parameters and files that exist."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from ros_pointata.config.parameters import SPECS

REPOSITORY = Path(__file__).resolve().parents[2]
LAUNCH_FILES = sorted((REPOSITORY / "launch").glob("*.launch.py"))


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [node for node in nodes if isinstance(node.func, ast.Name) and node.func.id == name]


def _text(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant)
    return str(node.value)


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _argument_names(tree: ast.Module) -> list[str]:
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ARGUMENTS"
    )
    assert isinstance(table, ast.Tuple)
    return [_text(row.elts[0]) for row in table.elts if isinstance(row, ast.Tuple)]


@pytest.fixture(params=LAUNCH_FILES, ids=lambda path: path.name)
def tree(request: pytest.FixtureRequest) -> ast.Module:
    path: Path = request.param
    compile(path.read_text(), path, "exec")
    return ast.parse(path.read_text())


def test_there_are_two() -> None:
    assert [path.name for path in LAUNCH_FILES] == ["demo.launch.py", "pointata.launch.py"]


def test_every_executable_of_this_package_exists(tree: ast.Module) -> None:
    keywords = [{word.arg: word.value for word in call.keywords} for call in _calls(tree, "Node")]
    own = [_text(words["executable"]) for words in keywords if _text(words["package"]) == "ros_pointata"]
    assert own
    for name in own:
        script = REPOSITORY / "scripts" / name
        assert script.is_file(), f"{script} is launched but does not exist"
        assert script.stat().st_mode & 0o111


def test_every_argument_that_is_read_is_declared_and_the_other_way_round(tree: ast.Module) -> None:
    used = {_text(call.args[0]) for call in _calls(tree, "LaunchConfiguration")}
    assert used == set(_argument_names(tree))


def test_every_file_that_is_named_exists(tree: ast.Module) -> None:
    named = {text for text in _strings(tree) if re.fullmatch(r"[\w.]+\.(yaml|rviz|xml|launch\.py)", text)}
    assert named
    for name in named:
        assert any((REPOSITORY / folder / name).is_file() for folder in ("config", "launch")), name


def test_every_parameter_and_topic_that_is_named_exists() -> None:
    tree = ast.parse((REPOSITORY / "launch" / "pointata.launch.py").read_text())
    (given,) = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    assert {key.value for key in given.keys if isinstance(key, ast.Constant)} <= {spec.name for spec in SPECS}
    source = "".join(path.read_text() for path in (REPOSITORY / "ros_pointata").rglob("*.py"))
    for topic in (text for text in _strings(tree) if text.startswith("~/")):
        assert f'"{topic}"' in source


def test_the_demo_hands_over_arguments_that_the_other_file_declares() -> None:
    trees = {path.name: ast.parse(path.read_text()) for path in LAUNCH_FILES}
    (given,) = (node for node in ast.walk(trees["demo.launch.py"]) if isinstance(node, ast.Dict))
    names = {key.value for key in given.keys if isinstance(key, ast.Constant)}
    assert names <= set(_argument_names(trees["pointata.launch.py"]))


def test_rviz_shows_the_topics_of_the_node() -> None:
    publishers = (REPOSITORY / "ros_pointata" / "io" / "publishers.py").read_text()
    config = yaml.safe_load((REPOSITORY / "config" / "pointata.rviz").read_text())
    topics = [d["Topic"]["Value"] for d in config["Visualization Manager"]["Displays"] if "Topic" in d]
    assert len(topics) == 2
    for topic in topics:
        assert topic.startswith("/pointata/")
        assert f'"~/{topic.removeprefix("/pointata/")}"' in publishers
