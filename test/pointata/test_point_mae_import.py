"""Official Point-MAE checkpoints, checked against a recomputation under their own names; what differs is refused."""

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointata import BundleError, ConfigError
from pointata.bundles.backbone import load_backbone
from pointata.model.config import BACKBONES
from pointata.model.point_mae import import_checkpoint
from pointata.pretraining.import_command import import_point_mae

#: Names and shapes as published: layer -> (shape of the weight, has a bias); 384 wide, 12 blocks.
LAYERS: dict[str, tuple[tuple[int, ...], bool]] = {
    "encoder.first_conv.0": ((128, 3, 1), True),
    "encoder.first_conv.1": ((128,), True),
    "encoder.first_conv.3": ((256, 128, 1), True),
    "encoder.second_conv.0": ((512, 512, 1), True),
    "encoder.second_conv.1": ((512,), True),
    "encoder.second_conv.3": ((384, 512, 1), True),
    "pos_embed.0": ((128, 3), True),
    "pos_embed.2": ((384, 128), True),
    "norm": ((384,), True),
}
BLOCK: dict[str, tuple[tuple[int, ...], bool]] = {
    "norm1": ((384,), True),
    "attn.qkv": ((1152, 384), False),
    "attn.proj": ((384, 384), True),
    "norm2": ((384,), True),
    "mlp.fc1": ((1536, 384), True),
    "mlp.fc2": ((384, 1536), True),
}
State = dict[str, Tensor]


@cache
def encoder_state() -> State:
    """Random tensors under the official names."""
    generator = torch.Generator().manual_seed(3)
    layers = LAYERS | {f"blocks.blocks.{i}.{name}": layer for i in range(12) for name, layer in BLOCK.items()}
    state: State = {}
    for name, (shape, bias) in layers.items():
        fan_in = shape[1] if len(shape) > 1 else 0
        draw = torch.randn(shape, generator=generator)
        state[f"{name}.weight"] = draw * fan_in**-0.5 if fan_in else 1.0 + 0.2 * draw
        if bias:
            state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    for name in ("encoder.first_conv.1", "encoder.second_conv.1"):
        size = state[f"{name}.weight"].shape
        state[f"{name}.running_mean"] = 0.3 * torch.randn(size, generator=generator)
        state[f"{name}.running_var"] = 0.1 + torch.rand(size, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(1234)
    return state


def pretraining_state() -> State:
    """With a decoder, of a network trained on several GPUs."""
    decoder = {
        "mask_token": torch.zeros(1, 1, 384),
        "decoder_pos_embed.0.weight": torch.zeros(128, 3),
        "MAE_decoder.blocks.0.norm1.weight": torch.zeros(384),
        "MAE_decoder.norm.bias": torch.zeros(384),
        "increase_dim.0.weight": torch.zeros(96, 384, 1),
    }
    named = {f"MAE_encoder.{name}": value for name, value in encoder_state().items()} | decoder
    return {f"module.{name}": value for name, value in named.items()}


def finetuned_state() -> State:
    head = {name: torch.zeros(1, 1, 384) for name in ("cls_token", "cls_pos", "cls_head_finetune.0.weight")}
    return encoder_state() | head


VARIANTS = pytest.mark.parametrize("variant", [pretraining_state, finetuned_state])


def hollow(state: State) -> State:
    """Zeros of the same shapes, which take no room in a file."""
    return {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}


def write(folder: Path, state: State, **others: Any) -> Path:
    path = folder / "checkpoint.pth"
    accuracy = {"acc": np.float64(0.9123)}  # as Point-MAE's own evaluation leaves it
    content = {"base_model": state, "optimizer": {"state": {}, "param_groups": []}, "epoch": 300}
    torch.save({**content, "metrics": accuracy, "best_metrics": accuracy, **others}, path)
    return path


def recomputed(s: State, patches: Tensor, centres: Tensor) -> Tensor:
    """Point-MAE's encoder on groups (B, G, K, 3) and their centres (B, G, 3), by functions of torch alone."""
    batch, groups, size, _ = patches.shape

    def conv(x: Tensor, name: str) -> Tensor:
        return F.conv1d(x, s[f"{name}.weight"], s[f"{name}.bias"])

    def batch_norm(x: Tensor, name: str) -> Tensor:
        mean, variance = s[f"{name}.running_mean"], s[f"{name}.running_var"]
        return F.batch_norm(x, mean, variance, s[f"{name}.weight"], s[f"{name}.bias"], training=False, eps=1e-5)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, s[f"{name}.weight"], s.get(f"{name}.bias"))

    def layer_norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (384,), s[f"{name}.weight"], s[f"{name}.bias"], eps=1e-5)

    x = patches.reshape(batch * groups, size, 3).transpose(1, 2)
    x = conv(F.relu(batch_norm(conv(x, "encoder.first_conv.0"), "encoder.first_conv.1")), "encoder.first_conv.3")
    x = torch.cat([x.max(dim=2, keepdim=True).values.expand(-1, -1, size), x], dim=1)
    x = conv(F.relu(batch_norm(conv(x, "encoder.second_conv.0"), "encoder.second_conv.1")), "encoder.second_conv.3")
    x = x.max(dim=2).values.reshape(batch, groups, 384)
    position = linear(F.gelu(linear(centres, "pos_embed.0")), "pos_embed.2")
    for i in range(12):
        block = f"blocks.blocks.{i}"
        x = x + position
        qkv = linear(layer_norm(x, f"{block}.norm1"), f"{block}.attn.qkv").reshape(batch, groups, 3, 6, 64)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = torch.softmax(query @ key.transpose(-2, -1) * 64**-0.5, dim=-1)
        x = x + linear((weights @ value).transpose(1, 2).reshape(batch, groups, 384), f"{block}.attn.proj")
        x = x + linear(F.gelu(linear(layer_norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
    return layer_norm(x, "norm")


@VARIANTS
def test_an_imported_encoder_computes_what_point_mae_computes(tmp_path: Path, variant: Callable[[], State]) -> None:
    backbone = import_checkpoint(write(tmp_path, variant()))
    generator = torch.Generator().manual_seed(0)
    patches = 0.2 * torch.randn(2, 10, 8, 3, generator=generator)
    centres = torch.rand(2, 10, 3, generator=generator) * 2 - 1
    with torch.no_grad():
        expected = recomputed(encoder_state(), patches, centres)
        error = (backbone(patches, centres) - expected).abs().max() / expected.abs().max()
    assert error < 1e-5


def test_the_command_writes_a_backbone_bundle(tmp_path: Path) -> None:
    state = encoder_state()
    path = import_point_mae([str(write(tmp_path, state)), "--name", "official", "--out", str(tmp_path)])
    assert path == tmp_path / "official.safetensors"
    config, stored = load_backbone(str(path))
    assert config == BACKBONES["base"]
    assert len(stored) == len(state)
    assert torch.equal(stored["backbone.blocks.11.mlp.2.weight"], state["blocks.blocks.11.mlp.fc2.weight"].half())


def test_a_name_that_cannot_be_a_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("a/b", "", ".."):
        with pytest.raises(ConfigError, match="must not be empty, contain a slash"):
            import_point_mae([str(tmp_path / "none.pth"), "--name", name, "--out", str(tmp_path)])


@VARIANTS
def test_a_missing_an_unknown_and_a_misshapen_tensor_are_named(tmp_path: Path, variant: Callable[[], State]) -> None:
    complete = hollow(variant())
    norm = next(name for name in complete if name.endswith("blocks.blocks.7.norm2.bias"))
    for change, words in (
        ({name: value for name, value in complete.items() if name != norm}, "lacks blocks.blocks.7.norm2.bias"),
        (complete | {norm.replace(".7.", ".12."): complete[norm]}, "holds blocks.blocks.12.norm2.bias"),
        (complete | {"teacher.weight": torch.zeros(3)}, "holds teacher.weight"),
        (complete | {norm: torch.zeros(383)}, r"blocks.blocks.7.norm2.bias has the shape \(383,\)"),
    ):
        with pytest.raises(BundleError, match=words):
            import_checkpoint(write(tmp_path, change))


def test_a_linear_layer_in_the_place_of_a_convolution_is_another_network(tmp_path: Path) -> None:
    state = hollow(encoder_state()) | {"encoder.first_conv.3.weight": torch.zeros(256, 128)}
    with pytest.raises(BundleError, match=r"first_conv.3.weight has the shape \(256, 128\)"):
        import_checkpoint(write(tmp_path, state))


def test_accuracies_pickled_by_numpy_1_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    content = {"base_model": hollow(encoder_state()), "metrics": {"acc": np.float64(0.5)}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    now, then = b"numpy._core.multiarray", b"numpy.core.multiarray"
    raw = path.read_bytes()
    assert now in raw or then in raw
    path.write_bytes(raw.replace(now, then))
    import_checkpoint(path)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = write(tmp_path, hollow(encoder_state()), metrics=Trap(marker))
    with pytest.raises(BundleError, match="could run code"):
        import_checkpoint(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the trap itself must work"


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint at all", b"root:x:0:0:root:/root:/bin/bash", pickle.dumps({"base_model": {}}, protocol=2)],
)
def test_another_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"file\.pth (is not loaded|cannot be read)"):
        import_checkpoint(path)
    with pytest.raises(BundleError, match="no file"):
        import_checkpoint(tmp_path / "absent.pth")


def test_a_checkpoint_without_a_base_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(hollow(encoder_state()), path)
    with pytest.raises(BundleError, match="base_model"):
        import_checkpoint(path)
