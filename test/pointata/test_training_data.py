"""What is trained and validated on: by the set's own split, by subject, with videos left out."""

from pathlib import Path
from typing import Any

import pytest
from own_folder import edit, write_set

pytest.importorskip("lightning", reason="training needs lightning (pip install lightning)")

from pointata.errors import ConfigError
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.augmentation import Augmentation
from pointata.training.clips import ClipSettings
from pointata.training.video_clips import DataSettings, VideoClips


def clips_of(folder: Path, **settings: Any) -> VideoClips:
    """The set of `write_set`: a and b show ann and train, c shows bob and is for testing."""
    given: dict[str, Any] = {
        "clips": ClipSettings(frames=3, per_epoch=2, batch_size=1, dense_frames=1),
        "sampling": SamplingConfig(points=6, point_neighbours=2),
        "augmentation": Augmentation(mirror=False),
        "cache": folder / "cache",
        "workers": 0,
    }
    return VideoClips(DataSettings(f"recordings:{folder}", **(given | settings)))


def trained_on(data: VideoClips) -> list[str]:
    return [video.name for video in data.train_videos]


def validated_on(data: VideoClips) -> list[str]:
    return [video.name for video in data.validation_videos]


def test_the_split_of_the_set_or_by_subject(tmp_path: Path) -> None:
    write_set(tmp_path)
    own = clips_of(tmp_path)
    assert (trained_on(own), validated_on(own)) == (["a", "b"], ["c.npz"])  # the test split, as none is for validation
    by_subject = clips_of(tmp_path, held_out=["ann"])
    assert (trained_on(by_subject), validated_on(by_subject)) == (["c.npz"], ["a", "b"])
    without = clips_of(tmp_path, leave_out=["b"])
    assert (trained_on(without), validated_on(without)) == (["a"], ["c.npz"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"held_out": ["zoe"]}, "has no subject zoe; it has ann, bob"),
        ({"held_out": ["ann", "bob"]}, "leaves 0 videos to train and 3 to validate on"),
        ({"leave_out": ["z"]}, "has no video z to leave out"),
        ({"leave_out": ["c.npz"]}, "leaves 2 videos to train and 0 to validate on"),
        ({"tasks": ["semantic", "flow"]}, "no labels for the task flow; it has action, segments, semantic"),
        ({"features": ["doppler"]}, "no point channel doppler; it has: intensity"),
        ({"augmentation": Augmentation()}, "must not be mirrored"),
    ],
)
def test_what_the_set_does_not_have_is_a_sentence(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    write_set(tmp_path)
    with pytest.raises(ConfigError) as caught:
        clips_of(tmp_path, **settings)
    assert words in str(caught.value)


def test_an_action_that_the_manifest_does_not_name_is_a_sentence(tmp_path: Path) -> None:
    from pointata.errors import DataError

    edit(write_set(tmp_path), ("action: sit, subject", "action: lie, subject"))
    with pytest.raises(DataError, match="unknown action lie; known are: sit, wave"):
        clips_of(tmp_path)
