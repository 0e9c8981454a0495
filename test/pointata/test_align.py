"""Stage 1: the gap to the 3D set closes, nothing but the embedder moves, and the file goes only where it belongs."""

import json
import logging
from pathlib import Path

import lightning
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pointata.alignment import align as align_module
from pointata.alignment.align import Align, AlignSettings, clip_features, shape_features
from pointata.alignment.command import align
from pointata.alignment.embedder_file import aligned_network, load_aligned, save_aligned
from pointata.alignment.transport.mmd import mmd
from pointata.alignment.transport.otdd import otdd
from pointata.bundles.backbone import save_backbone
from pointata.errors import BundleError, ConfigError, DataError
from pointata.model.config import BACKBONES, preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip

FRAMES, POINTS, GROUPS, SIZE = 4, 24, 8, 6


def network(seed: int = 0, **overrides: object) -> PointATA:
    """A random tiny network whose tokenizer has seen data: its normalisation statistics are not the initial ones."""
    torch.manual_seed(seed)
    model = PointATA(preset("tiny", **({"groups": GROUPS, "group_size": SIZE} | overrides)))
    for net in (model.backbone.tokenizer, model.embedder.point_net):
        torch.manual_seed(seed + 1)
        for norm in (net.first_norm, net.second_norm):
            norm.load_state_dict(
                norm.state_dict()
                | {
                    "running_mean": torch.empty_like(norm.bias).uniform_(-0.1, 0.1),
                    "running_var": torch.empty_like(norm.bias).uniform_(0.1, 0.3),
                }
            )
    return model.eval()


def shapes(count: int = 24, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points (count, POINTS, 3) of flat, long and round shapes, and their labels."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    extents = torch.tensor([[1.0, 1.0, 0.05], [1.0, 0.1, 0.1], [0.6, 0.6, 0.6]])
    return torch.randn(count, POINTS, 3, generator=g) * extents[labels].unsqueeze(1), labels


def moving(count: int = 18, seed: int = 1) -> tuple[Clip, Tensor]:
    """Clips of two classes: larger, sparser, moving upwards or sidewards."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    body = 2 * torch.randn(count, 1, POINTS, 3, generator=g) * torch.tensor([0.2, 0.8, 1.0])
    step = torch.eye(3)[2 - labels] * 0.3  # (n, 3)
    path = step[:, None, None] * torch.arange(FRAMES).view(1, -1, 1, 1)  # (n, T, 1, 3)
    points = body + path + 0.05 * torch.randn(count, FRAMES, POINTS, 3, generator=g)
    stamps = torch.arange(FRAMES, dtype=torch.float64).expand(count, -1) / 10
    return Clip(points, torch.zeros(count, FRAMES, 3, dtype=torch.float64), stamps), labels


def module(model: PointATA, labels: Tensor | None = None, seed: int = 0, **settings: object) -> Align:
    points, classes = shapes()
    clips, actions = moving()
    source = shape_features(model.backbone, points, GROUPS, SIZE)
    given = AlignSettings(**({"name": "a", "backbone": "b"} | settings))  # type: ignore[arg-type]
    return Align(given, model, source, classes, clips, actions if labels is None else labels, seed)


def fit(task: Align, epochs: int = 12) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
    ).fit(task)


def test_a_fresh_embedder_gives_the_features_of_the_3d_tokenizer() -> None:
    model = network()
    points, _ = shapes(5)
    clip = Clip(
        points.unsqueeze(1).expand(-1, FRAMES, -1, -1),
        torch.zeros(5, FRAMES, 3, dtype=torch.float64),
        torch.arange(FRAMES, dtype=torch.float64).expand(5, -1),
    )
    found, expected = clip_features(model, clip), shape_features(model.backbone, points, GROUPS, SIZE)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(expected.mean(1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(expected.var(1, unbiased=False), torch.ones(5), atol=1e-3, rtol=0)
    assert (expected[0] - expected[1]).abs().max() > 0.01


@pytest.mark.parametrize("method", ["otdd", "mmd", "sinkhorn"])
def test_the_distance_falls_and_only_the_embedder_moves(method: str) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    task = module(model, method=method, learning_rate=3e-3)
    gap = task.distance(task.features(task._fixed), task.labels[task._fixed]).item()
    fit(task)
    assert task.distance(task.features(task._fixed), task.labels[task._fixed]).item() < 0.8 * gap
    assert task.after["otdd_exact"] < task.before["otdd_exact"]
    assert task.after["otdd_diagonal"] < task.before["otdd_diagonal"]
    after = model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {f"embedder.{name}" for name, _ in model.embedder.named_parameters()}
    assert len(task.history) == 12
    assert task.history[0]["otdd"] == pytest.approx(task.before["otdd_diagonal"], rel=1e-3)
    assert task.history[0]["variance"] == pytest.approx(task.before["variance"], rel=1e-3)


def test_gradients_in_chunks_equal_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align_module, "_POINTS_AT_ONCE", 4 * FRAMES * GROUPS * SIZE)
    task = module(network(), samples_per_class=7)
    task.on_train_epoch_start()
    batches = list(task.train_dataloader())
    assert [len(index) for index in batches] == [7, 7]
    for index in batches:
        task.training_step(index, 0)
    chunked = [parameter.grad for parameter in task.model.embedder.parameters()]
    task.model.zero_grad()
    clips, labels = moving()
    losses = []
    for index in batches:
        part = Clip(clips.points[index], clips.origins[index], clips.stamps[index])
        features = clip_features(task.model, part)
        losses.append(otdd(task.source, task.source_labels, features, labels[index]) / 2)
    torch.autograd.backward(torch.stack(losses).sum())
    for parameter, gradient in zip(task.model.embedder.parameters(), chunked, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)
    assert any(gradient is not None and gradient.abs().max() > 1e-2 for gradient in chunked)


def test_figures_say_what_they_are() -> None:
    task = module(network())
    figures = task.measure()
    features = task.features(torch.arange(18)).numpy()
    _, labels = moving()
    assert figures["variance"] == pytest.approx(features.var(0).mean(), rel=1e-4)
    inside = sum(features[labels == k].var(0).mean() * 9 for k in range(2)) / 18
    assert figures["within_class_variance"] == pytest.approx(inside, rel=1e-4)
    assert figures["source_variance"] == pytest.approx(task.source.numpy().var(0).mean(), rel=1e-4)


def test_methods_without_labels_see_all_clips_at_once() -> None:
    task = module(network(), method="mmd")
    (index,) = list(task.train_dataloader())
    assert sorted(index.tolist()) == list(range(18))
    features = task.features(index)
    assert task.distance(features, task.labels[index]).item() == pytest.approx(mmd(task.source, features).item())


def test_clips_without_labels_get_pseudo_labels() -> None:
    _, labels = moving()
    task = module(network(), labels=torch.full_like(labels, -1), pseudo_classes=3)
    assert task.pseudo
    assert len(set(task.labels.tolist())) == 3
    fit(task, epochs=1)
    mixed = labels.clone()
    mixed[:4] = -1
    task = module(network(), labels=mixed)
    assert not task.pseudo
    assert sorted(torch.cat(list(task.train_dataloader())).tolist()) == list(range(4, 18))


def test_too_few_clips_and_wrong_settings_are_refused() -> None:
    with pytest.raises(DataError, match="no class has 2 of the 18 clips"):
        module(network(), labels=torch.arange(18))
    with pytest.raises(ConfigError, match="samples_per_class 2"):
        module(network(), samples_per_class=1)
    with pytest.raises(ConfigError, match="must be above 0"):
        module(network(), epsilon=0.0)


def test_the_file_goes_around(tmp_path: Path) -> None:
    model = network()
    torch.nn.init.normal_(model.embedder.motion.weight)
    path = tmp_path / "new" / "a_align.safetensors"
    save_aligned(path, model, {"backbone": "spine", "otdd": {"before": 2.0, "after": 1.0}})
    fresh = network(window=5, heads={"action": 3})  # stage 2 adds heads
    others = {name: value.clone() for name, value in fresh.state_dict().items()}
    assert load_aligned(path, fresh) == {"backbone": "spine", "otdd": {"before": 2.0, "after": 1.0}}
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, model.state_dict()[name] if name.startswith("embedder.") else others[name])
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {name for name in model.state_dict() if name.startswith("embedder.")}


def test_a_file_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a_align.safetensors"
    save_aligned(path, network(), {"backbone": "spine"})
    with pytest.raises(BundleError, match="was aligned for backbone 'spine'"):
        load_aligned(path, network(seed=7))
    with pytest.raises(BundleError, match="was aligned with groups 8, but the network has 16"):
        load_aligned(path, network(groups=16))
    with pytest.raises(BundleError, match="was aligned with features"):
        load_aligned(path, network(features=("doppler",)))
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    motion = tensors.pop("embedder.motion.weight")
    for wrong in (tensors, tensors | {"embedder.motion.weight": motion[:, :3].contiguous()}):
        save_file(wrong, path, metadata=header)
        with pytest.raises(BundleError, match=r"fit its own architecture: .*embedder\.motion\.weight"):
            load_aligned(path, network())
    with pytest.raises(BundleError, match="of kind backbone, not an aligned embedder"):
        load_aligned(save_backbone(tmp_path, "spine", network().backbone, {}), network())
    path.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot be read"):
        load_aligned(path, network())


def test_the_command_writes_a_file_that_stage_two_takes(tmp_path: Path) -> None:
    model = network()
    spine = save_backbone(tmp_path, "spine", model.backbone, {})
    with safe_open(spine, framework="pt") as file:
        assert json.loads(file.metadata()["pointata"])["network"]["width"] == BACKBONES["tiny"].width
    path = align(
        [
            *("--source=sim:shapes?count=6", f"--out={tmp_path}", "--accelerator=cpu", "--settings.name=a"),
            *(f"--settings.backbone={spine}", "--settings.epochs=2", "--settings.samples_per_class=4"),
            *("--network.groups=8", "--network.group_size=6"),
            *(
                "--data.set=sim:room?recordings=2&validation=1&test=0&frames=8",
                f"--data.cache={tmp_path}",
                "--data.workers=0",
            ),
            *("--data.clips.frames=4", "--data.sampling.points=32", '--data.tasks=["action"]'),
        ]
    )
    assert path == tmp_path / "a_align.safetensors"
    from pointata.alignment.command import build_network
    from pointata.training.network import NetworkSettings

    metadata = load_aligned(path, build_network(str(spine), NetworkSettings(groups=8, group_size=6), ()))
    assert metadata["backbone"] == "spine"
    assert len(metadata["history"]) == 2
    assert metadata["before"]["otdd_exact"] != metadata["after"]["otdd_exact"]
    with pytest.raises(ConfigError, match=r"is of preset tiny, not small: leave network\.preset out"):
        build_network(str(spine), NetworkSettings("small"), ())
    # stage 2 need not repeat what stage 1 was told
    assert NetworkSettings().config(model.backbone, aligned_network(path)).groups == 8
    assert NetworkSettings(groups=9).config(model.backbone, aligned_network(path)).groups == 9
