"""What `from pointata import ...` offers, and what it costs to ask."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pointata

#: Slow to import, or not there on a robot.
HEAVY = ("torch", "scipy", "h5py", "rosbags", "open3d", "lightning", "rich")


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, pointata; pointata.Frame; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code).strip() == "[]"


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    """And then stands in the package, so that the next look costs nothing."""
    code = (
        "import sys, pointata; before = 'torch' in sys.modules; from pointata import Predictor; "
        "print(before, 'torch' in sys.modules, vars(pointata)['Predictor'] is Predictor)"
    )
    assert run(code).split() == ["False", "True", "True"]


@pytest.mark.parametrize("name", pointata.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(pointata, name)
    assert name in dir(pointata)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
        assert value.__module__.startswith("pointata.")
        assert getattr(sys.modules[value.__module__], name) is value


def test_type_checkers_see_the_names_where_they_are_imported_from() -> None:
    """The lines under TYPE_CHECKING and the table of late imports say the same."""
    tree = ast.parse(Path(pointata.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == pointata._LATER


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pointata' has no attribute 'Predicter'"):
        pointata.Predicter  # noqa: B018
