"""Fixtures that tests of both packages share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of real recordings, kept outside the repository: $POINTATA_DATA, else ../shared/data; skips without."""
    root = Path(os.environ.get("POINTATA_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no real recordings at {root} (set POINTATA_DATA)")
    return root
