"""What a dry run proposes for a data set: from known distributions, and taken by the command that proposed it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from pointata.adaptation.dry_run import contradictions
from pointata.adaptation.suggestion import clip_frames, suggest, tokens
from pointata.adaptation.survey import Survey, survey
from pointata.bundles.bundle import read_metadata
from pointata.cli import main
from pointata.data.formats.own_recordings import own_recordings
from pointata.evaluation.sources import Choice, open_sources
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.augmentation import Augmentation
from pointata.training.clips import ClipSettings
from pointata.training.video_clips import DataSettings, VideoClips

for module in ("lightning", "jsonargparse", "torchmetrics"):
    pytest.importorskip(module, reason=f"training needs {module} (pip install {module})")

ROOT = Path(__file__).resolve().parents[2]
CENTRE, SPREAD = np.array([2.0, -0.5, 0.3]), np.array([0.1, 0.2, 0.4])
MANIFEST = """\
rate_hz: 10
actions: [wave, squat]
features: [power]
mirror: {}
recordings:
  - {path: a.npz, action: wave, subject: ann, split: train}
  - {path: b.npz, action: squat, subject: ann, split: train}
  - {path: c.npz, action: wave, subject: bob, split: val}
"""


def write_clip(file: Path, seed: int, frames: int = 60, hz: float = 10.0, **others: NDArray[Any]) -> None:
    """Frames of 20 to 40 points about one place; `others` replace."""
    rng = np.random.default_rng(seed)
    points = rng.normal(CENTRE, SPREAD, (frames, 40, 3)).astype(np.float32)
    for index, count in enumerate(rng.integers(20, 41, frames)):
        points[index, count:] = np.nan if index % 2 else 0.0  # "no return" as drivers write it
    power = rng.uniform(0, 1000, (frames, 40))
    stamps = 10**18 + np.rint(np.arange(frames) / hz * 1e9).astype(np.int64)
    np.savez(file, **({"points": points, "power": power, "stamp_ns": stamps} | others))  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "radar"
    root.mkdir()
    for seed, name in enumerate("abc"):
        write_clip(root / f"{name}.npz", seed)
    (root / "manifest.yaml").write_text(MANIFEST)
    return root


def clips(root: Path, **others: Any) -> VideoClips:
    settings: dict[str, Any] = {"cache": root.parent / "cache", "augmentation": Augmentation(mirror=False), **others}
    data = VideoClips(DataSettings(f"recordings:{root}", clips=ClipSettings(frames=8), workers=0, **settings))
    data.setup("fit")
    return data


def test_a_survey_finds_what_the_frames_were_drawn_from(root: Path) -> None:
    found = survey(own_recordings(root).videos)
    assert found.points == pytest.approx(30, abs=2)
    assert found.most_points == pytest.approx(39, abs=1)
    assert found.period_s == pytest.approx(0.1)
    np.testing.assert_allclose(found.centre_m, CENTRE, atol=0.03)
    assert found.reach_m == pytest.approx(1.645 * SPREAD.max(), rel=0.05)  # 90 % of a normal distribution
    assert found.channels["power"] == pytest.approx(950, rel=0.02)
    assert not found.moving


def test_the_place_of_a_moving_sensor_is_no_centre(root: Path) -> None:
    poses = np.tile(np.eye(4), (60, 1, 1))
    poses[:, 0, 3] = np.arange(60)
    write_clip(root / "a.npz", 0, T_world_sensor=poses)
    data = clips(root)
    found = survey(data.train_videos)
    assert found.moving
    assert suggest(data, found)["data"]["sampling"]["centre_m"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("most_points", "expected"),
    [
        (1, (64, 8, 8)), (57, (64, 8, 8)), (64, (64, 8, 8)), (65, (128, 16, 8)), (200, (256, 16, 16)),
        (1000, (1024, 64, 16)), (1_000_000, (1024, 64, 16)),
    ],
)  # fmt: skip
def test_tokens_use_the_points_that_there_are(most_points: int, expected: tuple[int, int, int]) -> None:
    assert tokens(most_points, 1024) == expected
    assert tokens(1_000_000, 2048) == (2048, 64, 32)


def test_a_clip_is_no_longer_than_what_it_shows(root: Path) -> None:
    data = clips(root)
    assert clip_frames(data) == 24
    assert suggest(data, survey(data.train_videos))["settings"]["settle_frames"] == 18
    names = ("wave", "squat")
    segments = ", ".join(f"{{from: {i}, to: {i + 1}, action: {names[i % 2]}}}" for i in range(6))
    (root / "manifest.yaml").write_text(MANIFEST.replace("action: wave, subject: ann", f"action: [{segments}]"))
    segmented = clips(root, cache=root.parent / "other")
    settings = suggest(segmented, survey(segmented.train_videos))
    assert clip_frames(segmented) == 10  # of 10 frames each, but for the recording of one action
    assert settings["settings"]["settle_frames"] == 2
    write_clip(root / "c.npz", 2, frames=9)
    assert clip_frames(clips(root, cache=root.parent / "third")) == 9


def test_what_contradicts_the_frames_is_said(root: Path) -> None:
    write_clip(root / "a.npz", 0, hz=7.5)
    write_clip(root / "b.npz", 0, hz=7.5)
    data = clips(root, features=None)
    words = " ".join(contradictions(data, survey(data.train_videos)))
    assert re.search(r"asks for 2,048 points of frames that hold \d\d \(median; 95 % hold at most \d\d\)", words)
    assert "the frames come every 0.133 s, the data set says every 0.1 s" in words
    assert "the channel power reaches 9" in words
    fewest = clips(root, sampling=SamplingConfig(points=64))
    assert contradictions(fewest, Survey(3, 5, 0.1, (0, 0, 0), 1.0, False, {})) == []
    fitting = Survey(2000, 2048, 0.1, (0, 0, 0), 1.0, False, {"power": 1.0})
    assert contradictions(data, fitting) == []


def test_what_a_dry_run_proposes_is_taken_and_fits(
    root: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "adapt", f"--config={ROOT / 'config/train/own_recordings.yaml'}", f"--data.set=recordings:{root}",
        f"--data.cache={root.parent / 'cache'}", "--data.workers=0", "--threads=1", "--accelerator=cpu",
        "--data.features=[]", "--dry-run",
    ]  # fmt: skip
    with caplog.at_level("INFO", logger="pointata"):
        assert main(given) == 0
    text = caplog.text
    assert "asks for 1,024 points" in text
    assert re.search(r"takes about \d+ (s|min): 20 epochs of 25 steps", text)
    proposed = capsys.readouterr().out
    settings = yaml.safe_load(proposed)
    assert settings["data"]["sampling"]["points"] == 64
    assert settings["data"]["augmentation"]["mirror"] is True
    (root.parent / "suggested.yaml").write_text(proposed)

    caplog.clear()
    with caplog.at_level("INFO", logger="pointata"):
        assert main([*given[:2], f"--config={root.parent / 'suggested.yaml'}", *given[2:]]) == 0
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert "one training step on the CPU, 16 clips of 24 frames" in caplog.text
    assert capsys.readouterr().out == proposed  # nothing more to propose


def test_a_bundle_that_was_trained_on_merged_frames_states_it(root: Path) -> None:
    for seed, name in enumerate("abc"):
        write_clip(root / f"{name}.npz", seed, frames=60, hz=30.0)
    (root / "manifest.yaml").write_text(MANIFEST.replace("rate_hz: 10\n", "rate_hz: 10\nmerge: 3\n"))
    folder = root.parent
    given = [
        "adapt", f"--config={ROOT / 'config/train/own_recordings.yaml'}", f"--data.set=recordings:{root}",
        f"--data.cache={folder / 'cache'}", "--data.workers=0", "--threads=1", "--data.features=[]",
        "--data.clips.frames=8", "--data.clips.per_epoch=2", "--data.clips.batch_size=2", "--data.sampling.points=64",
        "--network.groups=8", "--trainer.max_epochs=1", "--accelerator=cpu", "--trainer.logger=false",
        "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={folder / 'run'}", f"--out={folder}",
    ]  # fmt: skip
    assert main(given) == 0
    metadata = read_metadata(str(folder / "own_recordings.safetensors"))
    assert metadata.merge == 3
    assert metadata.frame_period_s == pytest.approx(0.1)
    recording = open_sources([str(root / "c.npz")], Choice(), metadata)[0]
    assert [item.frame.context_count > 0 for item in recording] == [False] + [True] * 19
