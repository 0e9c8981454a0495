"""What the README says is what the code does."""

import contextlib
import io
import re
from pathlib import Path

from ros_pointata.parameters import render_markdown_table

ROOT = Path(__file__).resolve().parents[2]
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
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ros_pointata").glob("*.py"))
    for topic in re.findall(r"^\| `(~/[\w/]+)`", README, re.MULTILINE):
        assert f'"{topic}"' in source, topic
