"""docs/robustness.md names tests that exist."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "robustness.md").read_text(encoding="utf-8")
FUNCTIONS = {
    f"{file.name}::{node.name}"
    for file in TESTS.glob("*/test_*.py")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef)
}


def test_every_named_test_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py::\w+)`", PAGE))
    assert len(named) > 50
    assert sorted(named - FUNCTIONS) == []
    assert all(any(TESTS.glob(f"*/{file}")) for file in re.findall(r"`(test_\w+\.py)`", PAGE))


def test_every_fault_has_a_test() -> None:
    tables = PAGE.partition("## What held already")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 35
    assert [row for row in rows if not re.search(r"`test_\w+\.py::\w+` ?(,|\|)", row)] == []
