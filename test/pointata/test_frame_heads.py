"""Training of the frame heads on cached features: recordings of any lengths, truth of any gaps, one record of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from described import described
from own_folder import edit, write_clip, write_folder, write_set
from safetensors.torch import load_file

pytest.importorskip("lightning", reason="training needs lightning (pip install lightning)")

from pointata.adaptation.frame_heads import (
    FrameFeatures,
    augmented_views,
    frame_accuracies,
    frame_features,
    frame_logits,
    frame_losses,
    train_frame_heads,
)
from pointata.adaptation.heads_bundle import FrameHeadSettings
from pointata.bundles.adapter import save_bundle, state_score
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.bundle import load_bundle, read_metadata
from pointata.classes import class_list
from pointata.cli import main
from pointata.errors import ConfigError
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.preprocessing.sampling import SamplingConfig
from pointata.training.augmentation import Augmentation
from pointata.training.recording_cache import SampledRecording
from pointata.training.video_clips import DataSettings, VideoClips

CLASSES = class_list(("low", (255, 0, 0)), ("tall", (0, 255, 0)))
STILL = Augmentation(turn_deg=0.0, mirror=False, scale=0.0)
POINTS = 24


def recording(frames: int, seed: int, unlabelled: Sequence[int] = ()) -> SampledRecording:
    """A heap of points that is low (action 0) or tall (action 1) for five frames at a time."""
    rng = np.random.default_rng(seed)
    actions = np.repeat(rng.integers(2, size=frames), 5)[:frames]
    points = rng.normal(size=(frames, POINTS, 3)) * np.where(actions == 1, 2.0, 0.2)[:, None, None] ** [0, 0, 1]
    actions[list(unlabelled)] = -1
    return SampledRecording(
        points=points.astype(np.float32),
        labels={},
        actions=actions,
        origins=rng.normal(size=(frames, 3)) * 0.01,
        stamps=0.1 * np.arange(frames, dtype=np.float64),
        features=np.zeros((frames, POINTS, 0), np.float32),
    )


def bundle(folder: Path, **network: Any) -> tuple[Path, PointATA]:
    torch.manual_seed(0)
    given: dict[str, Any] = {"groups": 4, "group_size": 3, "context_neighbours": 2, "window": 4}
    config = preset("tiny", **(given | {"heads": {"action": 2, "segments": 2}} | network))
    model = PointATA(config).eval()
    metadata = AdapterMetadata(
        name="limb",
        network=config,
        sampling=SamplingConfig(points=POINTS),
        heads=dict.fromkeys(config.heads, CLASSES),
        frame_period_s=0.1,
        backbone="spine",
        training={"data": "first", "steps": 7},
    )
    return save_bundle(folder, model, metadata), model


class Toy(VideoClips):
    """Recordings that are there already."""

    def __init__(
        self,
        train: Sequence[SampledRecording],
        validation: Sequence[SampledRecording],
        augmentation: Augmentation = STILL,
        **changes: Any,
    ) -> None:
        self.train_recordings, self.validation_recordings = list(train), list(validation)
        self.settings, self.mirrored = DataSettings("toy", augmentation=augmentation), {0: 1, 1: 0}
        ours = {"heads": {"action": CLASSES, "segments": CLASSES}, "sampling": SamplingConfig(points=POINTS)}
        self.description = described(**(ours | changes))

    def setup(self, stage: str) -> None:
        """Nothing to load."""


def clip_of(item: SampledRecording, flip: bool = False) -> Clip:
    """A whole recording, or its mirror image in y."""
    sign = np.array([1.0, -1.0 if flip else 1.0, 1.0])
    return Clip(
        points=torch.tensor(item.points * sign.astype(np.float32)).unsqueeze(0),
        origins=torch.tensor((item.origins - item.origins[0]) * sign).unsqueeze(0),
        stamps=torch.tensor(item.stamps).unsqueeze(0),
    )


@torch.no_grad()
def seen(model: PointATA, item: SampledRecording) -> FrameFeatures:
    return FrameFeatures(frame_features(model, clip_of(item)), torch.tensor(item.actions))


@torch.no_grad()
def test_heads_on_kept_features_are_the_network_frame_by_frame(tmp_path: Path) -> None:
    _, model = bundle(tmp_path)
    clip = clip_of(recording(30, seed=1))
    logits = frame_logits(model, frame_features(model, clip).unsqueeze(0))
    state = model.initial_state(1)
    for frame in range(30):
        expected, state = model.step(clip.frames(frame, frame + 1), state)
        for task in ("action", "segments"):
            torch.testing.assert_close(logits[task][:, frame], expected[task][:, 0], atol=1e-4, rtol=1e-4)


def test_the_heads_learn_and_nothing_else_moves(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path)
    path = state_score(path, tmp_path / "scored", {"action_accuracy": 0.5}, ["somewhere"])
    before, content, spine = load_file(path), path.read_bytes(), (tmp_path / "spine.safetensors").read_bytes()
    train = [recording(frames, seed=frames) for frames in (9, 14, 31, 40)]
    data = Toy(train, [recording(33, seed=100), recording(21, seed=101)])
    settings = FrameHeadSettings("new", str(path), views=1, steps=60, batch=4, learning_rate=5e-3, settle_frames=2)
    scores = train_frame_heads(settings, data, tmp_path / "out")
    assert set(scores) == {"action", "segments"}
    assert min(scores.values()) > 0.9
    assert path.read_bytes() == content
    made = tmp_path / "out" / "new.safetensors"
    after = load_file(made)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if name.startswith(("heads.action.", "heads.segments."))}
    assert (tmp_path / "out" / "spine.safetensors").read_bytes() == spine
    metadata = load_bundle(str(made))[1]
    assert metadata.name == "new"
    assert {key: metadata.training[key] for key in ("data", "steps")} == {"data": "first", "steps": 7}
    said = metadata.training["frame_heads"]
    assert (said["data"], said["steps"], said["views"], said["seed"]) == ("toy", 60, 1, 0)
    assert metadata.score == {}


def test_truth_that_is_exchanged_is_learned_exchanged(tmp_path: Path) -> None:
    """The accuracy of the test before comes from the truth, not from elsewhere."""
    path, _ = bundle(tmp_path, heads={"segments": 2})
    train = [recording(frames, seed=frames) for frames in (9, 14, 31, 40)]
    wrong = [replace(item, actions=1 - item.actions) for item in train]
    settings = FrameHeadSettings("new", str(path), views=1, steps=60, batch=4, learning_rate=5e-3)
    assert train_frame_heads(settings, Toy(wrong, [recording(33, seed=100)]), tmp_path)["segments"] < 0.1


def test_the_loss_is_that_of_the_labelled_frames_of_each_recording_alone(tmp_path: Path) -> None:
    path, model = bundle(tmp_path)
    items = [recording(7, seed=1), recording(3, seed=2), recording(19, seed=3, unlabelled=[0, 5, 6, 18])]
    settings = FrameHeadSettings("new", str(path), settle_frames=4, label_smoothing=0.2)
    losses = frame_losses(model, settings, [seen(model, item) for item in items])
    for task, loss in losses.items():
        terms: list[float] = []
        for item in items:
            with torch.no_grad():
                logits = model(clip_of(item))[task][0].double().numpy()
            logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            for frame in range(4, len(item.actions)):
                if item.actions[frame] >= 0:
                    terms.append(-0.8 * logs[frame, item.actions[frame]] - 0.2 * logs[frame].mean())
        assert len(terms) == 3 + 0 + 12
        assert loss.item() == pytest.approx(np.mean(terms), abs=1e-5)


def test_gradients_do_not_depend_on_how_far_a_recording_is_filled_up(tmp_path: Path) -> None:
    path, model = bundle(tmp_path)
    short, long = seen(model, recording(8, seed=1)), seen(model, recording(40, seed=2))
    silent = replace(long, actions=torch.full_like(long.actions, -1))  # fills up, and counts for nothing itself
    settings = FrameHeadSettings("new", str(path))

    def gradients(batch: list[FrameFeatures]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.autograd.backward(torch.stack(list(frame_losses(model, settings, batch).values())).sum())
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    alone, filled = gradients([short]), gradients([short, silent])
    assert alone
    torch.testing.assert_close(filled, alone, atol=1e-5, rtol=1e-4)


def test_a_batch_without_truth_is_no_loss(tmp_path: Path) -> None:
    path, model = bundle(tmp_path)
    settings = FrameHeadSettings("new", str(path))
    losses = frame_losses(model, settings, [seen(model, recording(6, 1, unlabelled=range(6)))])
    assert [loss.item() for loss in losses.values()] == [0.0, 0.0]


def test_unlabelled_frames_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    _, model = bundle(tmp_path)
    torch.nn.init.normal_(model.heads["segments"].out.weight)  # type: ignore[union-attr, arg-type]
    items = [recording(12, seed=1, unlabelled=range(3, 10)), recording(25, seed=2), recording(6, 3, range(6))]
    accuracies = frame_accuracies(model, 4, [seen(model, item) for item in items])
    for task in ("action", "segments"):
        right = labelled = 0
        for item in items:
            guess = model(clip_of(item))[task][0].argmax(-1).tolist()
            for frame in range(4, len(guess)):
                right += guess[frame] == item.actions[frame]
                labelled += bool(item.actions[frame] >= 0)
        assert labelled == 2 + 21
        assert accuracies[task] == pytest.approx(right / labelled)


def test_mirror_images_have_the_actions_that_the_set_says(tmp_path: Path) -> None:
    _, model = bundle(tmp_path)
    item = recording(11, seed=1, unlabelled=[2])
    data = Toy([item, recording(6, seed=2)], [], replace(STILL, mirror=True))
    views = augmented_views(model, 8, data, seed=0)
    assert [len(view.features) for view in views] == [11] * 8 + [6] * 8
    as_recorded, mirrored = (frame_features(model, clip_of(item, flip)) for flip in (False, True))
    exchanged = np.where(item.actions < 0, -1, 1 - item.actions)
    flips = [not torch.allclose(view.features, as_recorded, atol=1e-4) for view in views[:8]]
    assert set(flips) == {False, True}
    for view, flip in zip(views, flips, strict=False):
        torch.testing.assert_close(view.features, mirrored if flip else as_recorded, atol=1e-4, rtol=1e-4)
        assert view.actions.tolist() == (exchanged if flip else item.actions).tolist()


def test_views_are_changed_as_the_data_say_and_differ(tmp_path: Path) -> None:
    _, model = bundle(tmp_path)
    item = recording(6, seed=1)
    (still,) = augmented_views(model, 1, Toy([item], []), seed=0)
    torch.testing.assert_close(still.features, seen(model, item).features)
    turned = augmented_views(model, 2, Toy([item, item], [], Augmentation(mirror=False)), seed=0)
    assert len({round(float(view.features.sum()), 3) for view in turned}) == 4


OTHER = class_list(("low", (255, 0, 0)), ("lower", (0, 255, 0)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"sampling": SamplingConfig(points=POINTS, scale_m=2.0)}, "in data.sampling, set scale_m to 1.0"),
        ({"features": ("doppler",)}, r"set data.features to \[\]"),
        ({"heads": {"action": CLASSES, "segments": OTHER}}, "segments .* low, tall; the data have low, lower"),
        ({"heads": {"segments": CLASSES}}, "action head .* the data have no such task"),
        ({"heads": {"action": CLASSES[::-1], "segments": CLASSES}}, None),  # the same, listed otherwise
        ({"sampling": SamplingConfig(points=POINTS, point_neighbours=3)}, None),  # of no meaning to these heads
        ({"train": [recording(4, seed=1)]}, "no training recording has an action after its first 4 frames"),
        ({"validation": [recording(9, 1, range(9))]}, "no validation recording has an action"),
    ],
)
def test_other_data_than_the_bundle_takes_are_refused(tmp_path: Path, data: dict[str, Any], words: str | None) -> None:
    path, _ = bundle(tmp_path)
    content = path.read_bytes()
    toy = Toy(**({"train": [recording(9, seed=1)], "validation": [recording(9, seed=2)]} | data))
    settings = FrameHeadSettings("new", str(path), views=1, steps=1, batch=1)
    if words is None:
        train_frame_heads(settings, toy, tmp_path)
    else:
        with pytest.raises(ConfigError, match=words):
            train_frame_heads(settings, toy, tmp_path)
        assert path.read_bytes() == content


def test_a_bundle_is_not_replaced_by_its_heads(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path)
    with pytest.raises(ConfigError, match="would be replaced"):
        train_frame_heads(FrameHeadSettings(path.stem, str(path)), Toy([], []), tmp_path)


def test_a_mismatch_is_found_before_the_data_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = bundle(tmp_path)
    monkeypatch.setattr(Toy, "setup", lambda self, stage: pytest.fail("the data were read"))
    with pytest.raises(ConfigError, match="samples frames otherwise"):
        train_frame_heads(FrameHeadSettings("new", str(path)), Toy([], [], sampling=SamplingConfig(points=8)), tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "at least 1"),
        ({"settle_frames": -1}, "must not be negative"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
    ],
)
def test_settings_without_meaning_are_refused(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    path, _ = bundle(tmp_path)
    with pytest.raises(ConfigError, match=words):
        FrameHeadSettings(**({"name": "new", "bundle": str(path)} | settings))


def test_a_bundle_without_frame_heads_is_refused(tmp_path: Path) -> None:
    path, _ = bundle(tmp_path, heads={"semantic": 2})
    with pytest.raises(ConfigError, match="neither an action nor a segments head"):
        train_frame_heads(FrameHeadSettings("new", str(path)), Toy([], []), tmp_path)


def test_the_command_on_recordings_of_different_lengths_without_mirror_images(tmp_path: Path) -> None:
    root = tmp_path / "own"
    write_set(root)
    write_folder(root / "d", frames=8)
    write_clip(root / "c.npz", frames=7)
    edit(root, ("recordings:\n", "recordings:\n  - {path: d, action: wave, subject: ann, split: train}\n"))
    settings = DataSettings(f"recordings:{root}", augmentation=Augmentation(mirror=False), tasks=["action", "segments"])
    network = preset("tiny", groups=4, group_size=3, context_neighbours=2, window=4, heads={"action": 2, "segments": 2})
    metadata = AdapterMetadata(
        name="own",
        network=network,
        sampling=SamplingConfig(points=6),
        heads=VideoClips(settings).description.heads,
        frame_period_s=0.1,
        backbone="spine",
    )
    path = save_bundle(tmp_path, PointATA(network), metadata)
    arguments = {
        "settings.name": "new",
        "settings.bundle": path,
        "out": tmp_path,
        "settings.views": 1,
        "settings.steps": 2,
        "settings.batch": 3,
        "settings.settle_frames": 1,
        "data.set": f"recordings:{root}",
        "data.tasks": '["action", "segments"]',
        "data.sampling.points": 6,
        "data.augmentation.mirror": "false",
        "data.clips.frames": 3,
        "data.cache": tmp_path / "cache",
        "data.workers": 0,
    }
    command = ["frame-heads", *(f"--{name}={value}" for name, value in arguments.items())]
    assert main([*command, "--dry-run"]) == 0
    assert not (tmp_path / "new.safetensors").exists()
    assert main(command) == 0
    assert read_metadata(str(tmp_path / "new.safetensors")).training["frame_heads"]["recordings"] == 3
