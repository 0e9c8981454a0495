"""Bags with damaged bytes in their storage, and with anything in their metadata."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fuzzing import Watch, changed, damaged, examples
from hypothesis import given
from hypothesis import strategies as st
from test_recordings_bag import T_BASE_MAST, T_MAST_LIDAR, clouds, message, odometry_track, static_transform, write_bag

from pointata.data.open import open_recording

STORAGES = {"mcap": ".mcap", "sqlite3": ".db3"}
NESTED = ["[" * 3000, "{a: " * 3000, "- " * 3000, "a: &a [x, x]\n? [*a, *a, *a]\n: *a\n"]


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bag of each storage, with odometry and fixed transforms."""
    fixed = message(
        "tf2_msgs/msg/TFMessage",
        transforms=[
            static_transform("base_link", "mast", T_BASE_MAST),
            static_transform("mast", "lidar", T_MAST_LIDAR),
        ],
    )
    topics: dict[str, list[tuple[int, Any]]] = {
        "/points": clouds(), "/odom": odometry_track(), "/tf_static": [(clouds()[0][0], fixed)],
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("bags")
    return {storage: write_bag(folder / storage, storage, topics) for storage in STORAGES}


@examples(short=30, full=200)
@given(st.data(), st.sampled_from(sorted(STORAGES)))
def test_any_bag_is_read_or_refused(
    watch: Watch, tmp_path: Path, bags: dict[str, Path], data: st.DataObject, storage: str
) -> None:
    folder = tmp_path / "bag"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bags[storage], folder)
    file = next(path for path in folder.iterdir() if path.suffix == STORAGES[storage])
    metadata = folder / "metadata.yaml"
    what = data.draw(st.sampled_from(["storage", "storage", "tree", "text", "nested"]))
    if what == "storage":
        file.write_bytes(data.draw(damaged(file.read_bytes())))
    elif what == "tree":
        metadata.write_text(yaml.safe_dump(data.draw(changed(yaml.safe_load(metadata.read_text())))))
    elif what == "text":
        metadata.write_bytes(data.draw(damaged(metadata.read_bytes())))
    else:
        metadata.write_text(metadata.read_text() + data.draw(st.sampled_from(NESTED)))
    path = file if what == "storage" and data.draw(st.booleans()) else folder
    recording = watch.attempt(lambda: open_recording(path, features=("intensity",)), takes_claims=True)
    frames = watch.attempt(lambda: list(recording), takes_claims=True) if recording else None
    if recording is None or frames is None:
        return
    assert np.isfinite(recording.rate_hz)
    assert recording.rate_hz > 0
    for item in frames:
        assert np.isfinite(item.frame.points).all()
        assert np.isfinite(item.frame.T_world_sensor).all()
