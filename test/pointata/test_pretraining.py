"""Pre-training: its loss and masks against brute force, its data, its command, and the classification check."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist
from torch import Tensor, nn

from pointata.bundles.backbone import load_backbone
from pointata.data.shapes.catalogue import MAKERS, make_shape
from pointata.errors import ConfigError, DataError, PointataError
from pointata.model.backbone import Backbone
from pointata.model.config import BACKBONES, BackboneConfig
from pointata.preprocessing.sampling import SamplingConfig
from pointata.pretraining import frames
from pointata.pretraining.classify import STARTS, ClassifySettings, accuracy, train_classifier
from pointata.pretraining.command import classify, pretrain
from pointata.pretraining.decoder import Decoder, chamfer
from pointata.pretraining.frames import FrameSettings
from pointata.pretraining.masked import Density, MaskedAutoencoder, random_mask, thinned
from pointata.pretraining.shape_data import ShapeAugmentation, ShapeDraws, ShapeSettings
from pointata.pretraining.shapes import ShapeSet, load_shapes

SMALL = BackboneConfig(width=16, depth=2, heads=2, tokenizer=(8, 16, 16), position_hidden=8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def balls_and_boxes(count: int, seed: int) -> ShapeSet:
    """Surfaces of balls (class 0) and of cubes (class 1)."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, 64, 3))
    norm = {0: np.linalg.norm(direction, axis=-1, keepdims=True), 1: np.abs(direction).max(axis=-1, keepdims=True)}
    labels = np.arange(count) % 2
    points = np.stack([direction[i] / norm[int(label)][i] for i, label in enumerate(labels)])
    return ShapeSet(points.astype(np.float32), labels, ("ball", "box"))


def save_recording(path: Path, points: np.ndarray) -> None:
    frames, count = points.shape[:2]
    np.savez(
        path,
        points=points.astype(np.float32),
        actions=np.zeros(frames, dtype=np.int64),
        origins=np.zeros((frames, 3)),
        stamps=np.arange(frames) / 10,
        features=np.zeros((frames, count, 0), dtype=np.float32),
    )


def test_chamfer_is_what_loops_compute() -> None:
    first, second = torch.rand(2, 3, 7, 3, generator=generator()), torch.rand(2, 3, 5, 3, generator=generator(1))
    result = chamfer(first, second)
    for i in range(2):
        for j in range(3):
            squared = cdist(first[i, j].double(), second[i, j].double()) ** 2
            assert result[i, j].item() == pytest.approx(squared.min(1).mean() + squared.min(0).mean(), rel=1e-5)
    assert chamfer(first, first[..., torch.randperm(7, generator=generator()), :]).abs().max() == 0
    inputs = (first[:1, :1].double().requires_grad_(), second[:1, :1].double().requires_grad_())
    assert torch.autograd.gradcheck(chamfer, inputs)


@pytest.mark.parametrize(("groups", "share", "masked"), [(64, 0.6, 38), (16, 0.6, 10), (5, 0.99, 4), (4, 0.01, 1)])
def test_a_mask_parts_the_groups(groups: int, share: float, masked: int) -> None:
    shown, hidden = random_mask(50, groups, share, generator())
    assert hidden.shape == (50, masked)
    both = torch.cat([shown, hidden], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(groups).expand(50, -1))
    assert len(torch.unique(hidden, dim=0)) > 1
    assert torch.equal(hidden, random_mask(50, groups, share, generator())[1])


def test_thinning_keeps_the_order_and_prefers_the_first() -> None:
    points = torch.arange(100.0).reshape(1, 100, 1).expand(2, -1, 3)
    kept = thinned(points, 20, generator())[0, :, 0]
    assert len(kept) == 20
    assert (kept.diff() > 0).all()
    assert 19 < kept.max() < 40
    assert torch.equal(thinned(points, 100, generator()), points)


def test_the_encoder_sees_the_visible_groups_only_and_the_loss_has_the_stated_unit() -> None:
    density = Density(points=60, groups=10, group_size=6)
    points = torch.randn(3, 60, 3, generator=generator())
    decoder = Decoder(SMALL.width, SMALL.heads, 1, SMALL.position_hidden, [6, 4])
    for parameter in decoder.heads.parameters():
        nn.init.zeros_(parameter)  # every point is guessed at its centre
    network = MaskedAutoencoder(Backbone(SMALL), decoder)
    seen: list[tuple[Tensor, ...]] = []
    network.backbone.register_forward_pre_hook(lambda _, given: seen.append(given))
    shown, hidden = random_mask(3, 10, 0.6, generator())
    loss = network(points, density, shown, hidden).item()
    (patches, centres), expected = seen[0], []
    for sample in range(3):
        cloud = points[sample].double().numpy()
        near = np.argsort(cdist(cloud[:10], cloud), axis=1)[:, :6]
        groups = cloud[near] - cloud[:10, None]  # (G, K, 3)
        np.testing.assert_allclose(centres[sample], cloud[shown[sample]], rtol=1e-5)
        np.testing.assert_allclose(patches[sample], groups[shown[sample]], atol=1e-5)
        # the centre is a point of its group: only the way from the truth to the guess costs
        radius = (groups**2).sum(-1).mean(-1)
        expected.append(radius[hidden[sample]].mean() / radius.mean())
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_decoder_knows_masked_groups_by_their_places_alone() -> None:
    torch.manual_seed(0)
    decoder = Decoder(SMALL.width, SMALL.heads, 2, SMALL.position_hidden, [6])
    tokens, places = torch.randn(1, 4, SMALL.width), torch.randn(1, 9, 3)
    guess = decoder(tokens, places[:, :4], places[:, 4:], 6)
    assert guess.shape == (1, 5, 6, 3)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(decoder(tokens, places[:, :4], places[:, 4:][:, order], 6), guess[:, order])
    turned = decoder(tokens.flip(1), places[:, :4].flip(1), places[:, 4:], 6)
    torch.testing.assert_close(turned, guess, atol=1e-5, rtol=1e-4)


def test_training_beats_guessing_the_centre() -> None:
    torch.manual_seed(0)
    points = torch.from_numpy(balls_and_boxes(32, 0).points)
    density, draws = Density(64, 16, 6), generator(5)
    network = MaskedAutoencoder(Backbone(SMALL), Decoder(SMALL.width, SMALL.heads, 1, SMALL.position_hidden, [6]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(100):
        loss = network(points, density, *random_mask(32, 16, 0.6, draws))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.9  # the centre alone costs 1 on average, see above


def test_an_augmented_shape_stays_upright_and_similar() -> None:
    points = balls_and_boxes(2, 3).points[1] * np.array([1, 0.5, 0.2], dtype=np.float32)
    augmentation = ShapeAugmentation(scale=(0.5, 1.5), shift=0.8, jitter=0)
    factors, turns = [], []
    for seed in range(40):
        changed = augmentation.apply(points, np.random.default_rng(seed))
        ratio = pdist(changed) / pdist(points)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
        height = points[:, 2] - points[:, 2].mean()
        np.testing.assert_allclose(changed[:, 2] - changed[:, 2].mean(), ratio[0] * height, atol=1e-5)
        moved = changed.mean(axis=0) - ratio[0] * points.mean(axis=0)
        assert np.abs(moved).max() < 0.8 + 2 * np.abs(points.mean(axis=0)).max()
        factors.append(ratio[0])
        turns.append(np.arctan2(*(changed[0] - changed[1])[:2]))
    assert 0.499 < min(factors) < 0.7 < 1.3 < max(factors) < 1.501
    assert np.ptp(turns) > 4
    noisy = ShapeAugmentation(scale=(1, 1), shift=0, jitter=0.05).apply(points, np.random.default_rng(0))
    assert 0 < np.abs(pdist(noisy) - pdist(points)).max() < 0.6


def test_draws_depend_on_epoch_and_number_alone_and_take_sources_in_turn() -> None:
    near = ShapeSet(np.zeros((3, 8, 3), dtype=np.float32), np.full(3, -1))
    far = ShapeSet(np.full((5, 8, 3), 100, dtype=np.float32), np.full(5, -1))
    sources = [near, far]
    augmentation = ShapeAugmentation()
    one, two = (ShapeDraws(sources, augmentation, 10, seed=1, epoch=epoch) for epoch in (1, 2))
    assert [bool(one[i].abs().max() > 20) for i in range(10)] == [False, True] * 5
    assert torch.equal(one[7], ShapeDraws(sources, augmentation, 10, seed=1, epoch=1)[7])
    assert not torch.equal(one[7], two[7])
    assert not torch.equal(one[7], one[5])


def test_every_simulated_class_is_made_upright_and_differs_between_splits() -> None:
    lowest = {}
    for number, name in enumerate(MAKERS):
        mesh, label = make_shape(number, 0, "train")
        assert label == number
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.max() < len(mesh.vertices)
        again, other = make_shape(number, 0, "train")[0], make_shape(number, 0, "test")[0]
        np.testing.assert_array_equal(mesh.vertices, again.vertices)
        assert mesh.vertices.shape != other.vertices.shape or not np.allclose(mesh.vertices, other.vertices)
        lowest[name] = mesh.vertices[:, 2].min()
    standing = ("chair", "table", "cabinet", "car", "pole", "stairs", "house", "person upright", "person lying")
    for name in standing:
        assert lowest[name] == pytest.approx(0, abs=0.06), name
    shapes = load_shapes(f"sim:shapes?count={len(MAKERS)}", 16, split="all")
    assert np.bincount(shapes.labels).tolist() == [4] * len(MAKERS)  # train and test, whole and partial
    assert shapes.classes == tuple(MAKERS)
    assert np.linalg.norm(shapes.points, axis=-1).max() <= 1 + 1e-5


def test_frames_come_from_the_recordings_of_their_split(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def sampled(folder: Path, sources: Sequence[Any], sampling: SamplingConfig, *_: Any, **__: Any) -> list[Path]:
        """Files in which every coordinate tells scene, recording and frame."""
        paths = []
        for source in sources:
            scene, seed, stream, length = source.args
            assert stream == "train"
            assert sampling == replace(own.room if scene == "room" else own.street, point_neighbours=0)
            base = 200 * seed + (0 if scene == "room" else 10_000)
            points = base + np.arange(length, dtype=np.float32)[:, None, None] + np.zeros((1, sampling.points, 3))
            paths.append(tmp_path / f"{scene}{seed}.npz")
            save_recording(paths[-1], points)
        return paths

    own = FrameSettings(SamplingConfig(points=1024, scale_m=2.0), SamplingConfig(points=2048, voxel_m=0.1))
    monkeypatch.setattr(frames, "cached_recordings", sampled)
    train = load_shapes("sim:frames?rooms=2&streets=1", 64, frames=own)
    assert train.points.shape == (30 + 30 + 10, 64, 3)
    assert train.points[:, 0, 0].tolist() == [*range(0, 150, 5), *range(200, 350, 5), *range(10_000, 10_030, 3)]
    assert set(train.labels.tolist()) == {-1}
    test = load_shapes("sim:frames?rooms=2&streets=0", 64, split="test", frames=own)
    assert test.points[:, 0, 0].tolist() == [200 * seed + i for seed in range(2, 10) for i in range(0, 150, 5)]
    with pytest.raises(ConfigError, match=r"have 1024 sampled points .*, not 2000"):
        load_shapes("sim:frames", 2000, frames=own)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("sim:cats", "no such source"),
        ("sim:shapes?size=3", r"unknown option size; known: count \(a whole number, 2100 by default\)"),
        ("sim:shapes?count=many", "count must be a whole number, not 'many'"),
        ("sim:frames?rooms=0&streets=0", "asks for nothing"),
    ],
)
def test_a_source_that_does_not_exist_is_a_sentence(spec: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_shapes(spec, 64)


def arguments(folder: Path, **changes: Any) -> list[str]:
    """A run of `pointata pretrain` as small as it gets: 4 epochs of 2 steps."""
    given: dict[str, Any] = {
        "out": folder / "out", "settings.name": "made",
        "settings.densities": "[{points: 64, groups: 8, group_size: 8}, {points: 32, groups: 8, group_size: 4}]",
        "settings.decoder_depth": 1, "settings.settled_share": 0.5,
        "data.source": "sim:shapes?count=21", "data.points": 64, "data.draws_per_epoch": 8, "data.batch_size": 4,
        "data.validation_draws": 4, "trainer.max_epochs": 4, "accelerator": "cpu", "trainer.logger": "false",
        "trainer.enable_progress_bar": "false", "trainer.enable_model_summary": "false",
        "trainer.default_root_dir": folder,
    }  # fmt: skip
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return [f"--{key}={value}" for key, value in (given | named).items()]


def state_of(path: Path) -> Mapping[str, Tensor]:
    return load_backbone(str(path))[1]


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path: Path) -> None:
    keep = ["--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint", "--trainer.callbacks.save_top_k=-1"]
    path = pretrain([*arguments(tmp_path), *keep])
    config, whole = load_backbone(str(path))
    assert path == tmp_path / "out" / "made.safetensors"
    assert config == BACKBONES["tiny"]
    assert all(torch.isfinite(value).all() for value in whole.values())
    assert whole["backbone.tokenizer.first_norm.num_batches_tracked"] == 4  # of 8 steps: settled in the second half
    checkpoint = next(tmp_path.rglob("epoch=1-*.ckpt"))
    resumed = state_of(pretrain([*arguments(tmp_path, out=tmp_path / "resumed"), f"--resume={checkpoint}"]))
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    changed = [*arguments(tmp_path, out=tmp_path / "other", seed=1), f"--resume={checkpoint}"]
    other = state_of(pretrain(changed))
    assert any(not torch.equal(value, other[name]) for name, value in whole.items()), "the test must be able to fail"


def test_a_dry_run_writes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="pointata"):
        assert pretrain([*arguments(tmp_path), "--dry-run"]) is None
    assert "4 epochs of 8 point sets drawn from sim:shapes?count=21" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__source": "/no/such/folder"}, "not a folder"),
        ({"data__source": "sim:cats"}, "no such source"),
        ({"data__source": ","}, "names no source"),
        ({"settings__name": "a/b"}, "contain a slash"),
        ({"network__preset": "huge"}, "unknown preset 'huge'"),
        ({"data__points": 48}, "more than the 48 points"),
        ({"settings__mask_share": 1.0}, "mask_share"),
        ({"settings__densities": "[{points: 8, groups: 16, group_size: 4}]"}, "a density needs"),
    ],
)
def test_a_run_that_cannot_be_is_a_sentence_before_training(tmp_path: Path, changes: Any, words: str) -> None:
    with pytest.raises(PointataError, match=words):
        pretrain(arguments(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def test_data_are_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ShapeSettings(batch_size=0)


def test_the_classification_check_trains_what_it_says() -> None:
    torch.manual_seed(0)
    backbone = Backbone(SMALL)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    settings = ClassifySettings(steps=120, batch=32, learning_rate=5e-3, density=Density(64, 8, 8))
    train, test = balls_and_boxes(64, 1), balls_and_boxes(40, 2)
    for start in STARTS:
        model = train_classifier(train, start, SMALL, backbone, settings)
        moved = {name for name, value in model.backbone.state_dict().items() if not torch.equal(value, before[name])}
        assert bool(moved) == (start != "linear_probe")
        share = accuracy(model, test, settings.density)
        assert share > (0.6 if start == "linear_probe" else 0.8)  # the frozen backbone is a random one here
        with torch.no_grad():
            logits = model.head(model.features(torch.from_numpy(test.points), settings.density))
        assert share == pytest.approx(np.mean(logits.argmax(1).numpy() == test.labels))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    with pytest.raises(DataError, match="two or more classes"):
        train_classifier(ShapeSet(train.points, np.full(64, -1)), "scratch", SMALL, backbone, settings)


def test_the_classification_command_checks_a_bundle(tmp_path: Path) -> None:
    path = pretrain(arguments(tmp_path, trainer__max_epochs=1))
    small = "{steps: 2, batch: 4, density: {points: 64, groups: 8, group_size: 8}}"
    result = classify([f"--backbone={path}", "--source=sim:shapes?count=21", f"--settings={small}"])
    assert set(result) == set(STARTS)
    assert all(0 <= share <= 1 for share in result.values())
