"""Images of a frame: what is refused, and that they come along."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pointata import DataError, Frame, Image
from pointata.preprocessing.merging import merge_frames

IMAGE = Image(np.zeros((4, 6, 3), np.uint8), np.diag([5.0, 5.0, 1.0]), np.eye(4), 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"pixels": np.zeros((4, 6), np.uint8)}, r"pixels must be \(H, W, 3\) uint8, got \(4, 6\) uint8"),
        ({"pixels": np.zeros((4, 6, 3))}, "got .* float64: convert it to RGB"),
        ({"K": np.eye(4)}, "K must be"),
        ({"K": np.zeros((3, 3))}, "fx, fy > 0"),
        ({"T_sensor_camera": np.eye(3)}, r"T_sensor_camera must be \(4, 4\)"),
        ({"T_sensor_camera": 2 * np.eye(4)}, "rigid"),
        ({"T_sensor_camera": np.full((4, 4), np.nan)}, "is the camera calibrated"),
    ],
)
def test_an_image_is_checked(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        replace(IMAGE, **wrong)


def test_a_merged_frame_has_the_images_of_the_newest() -> None:
    newest = replace(IMAGE, stamp_ns=5)
    frames = [Frame.from_points(np.ones((3, 3)), images={"front": image}) for image in (IMAGE, newest)]
    assert merge_frames(frames).images == {"front": newest}
    assert Frame.from_points(np.ones((3, 3))).images == {}
