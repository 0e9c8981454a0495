"""What the README says is what the code does."""

import contextlib
import io
import re
import sys
from pathlib import Path

import pytest

from pointata.bundles.bundle import load_bundle
from ros_pointata.config.parameters import render_markdown_table

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "pointata" / "README.md", *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_parameter_table_is_the_generated_one() -> None:
    assert f"--markdown` -->\n\n{render_markdown_table()}\n<!-- end of parameters -->" in README


def test_every_linked_file_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_predictor_example_runs() -> None:
    found = re.search(r"<!-- test: readme_predictor -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(found[1], "README.md", "exec"), {})
    action, shape = output.getvalue().splitlines()
    assert 0 < float(action.split()[-1]) <= 1
    assert re.fullmatch(r"\(\d+,\)", shape)


def test_every_topic_of_the_table_exists_in_the_node() -> None:
    publishers = pytest.importorskip("ros_pointata.io.publishers", reason="needs rclpy")
    published = {topic.name for topics in publishers.TOPICS.values() for topic in topics}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ros_pointata").rglob("*.py"))
    for topic in re.findall(r"^\| `(~/[\w/]+)`", README, re.MULTILINE):
        assert topic in published or f'"{topic}"' in source, topic


def test_the_ros_lines_install_every_dependency_that_rosdep_does_not() -> None:
    block = README.partition("<!-- test: ros_install -->")[2].partition("\n```\n")[0]
    installed = set(re.findall(r'"(.+?)"', "".join(re.findall(r"^pip install .*$", block, re.MULTILINE))))
    project = tomllib.loads((ROOT / "pointata" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    by_rosdep = ("numpy", "scipy", "pyyaml")  # exec_depend of package.xml
    needed = {*project["dependencies"], *optional["recordings"]}
    needed |= {name for name in optional["training"] if name.startswith("open3d")}  # the simulator
    assert installed == {name for name in needed if not name.startswith(by_rosdep)}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_of_the_environment_are_on_the_path(page: Path) -> None:
    """A page whose command lines start with a bare `pointata` says first how it gets onto the PATH."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:bash|sh)?\n(.*?)```", text, re.DOTALL)
    bare = [line for block in blocks for line in block.splitlines() if re.match(r"pointata\w* ", line)]
    said = re.search(r"^(source|\.) \.venv/bin/activate|source install/setup\.bash$", text, re.MULTILINE)
    first = min((text.index(f"\n{line}") for line in bare), default=len(text))
    assert not bare or (said is not None and said.start() < first), f"{page.name}: {bare[0]}"


def test_the_models_table_states_the_licences_of_the_bundles() -> None:
    section = README.partition("## Models")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    assert len(rows) == 3
    for name, licences in rows:
        _, metadata = load_bundle(name)
        assert licences == f"{metadata.licence}, {metadata.data_licence}"
