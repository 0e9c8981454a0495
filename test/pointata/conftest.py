"""Fixtures of the fuzz tests."""

from collections.abc import Iterator

import pytest
from fuzzing import FULL, Watch


@pytest.fixture
def watch(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Watch]:
    """Guards and counts the attempts of a fuzz test; `make fuzz` prints the counts."""
    watch = Watch()
    yield watch
    if FULL:
        with capsys.disabled():
            print(f"\n{request.node.name}: {watch}")
