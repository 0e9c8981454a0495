"""The network: stream equals clip, causality, identity at the start, and an independent re-computation."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointata.errors import ConfigError
from pointata.geometry.neighbours import nearest
from pointata.model.config import BACKBONES, BackboneConfig, NetworkConfig, preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.model.tensors import kib, update
from pointata.model.tokenizer import group

HEADS = {"action": 5, "segments": 4, "semantic": 7}
POINTS = 96


def small(name: str = "tiny", **overrides: object) -> NetworkConfig:
    settings = {"groups": 16, "group_size": 8, "window": 5, "heads": HEADS} | overrides
    return preset(name, **settings)


def awake(config: NetworkConfig, seed: int = 0) -> PointATA:
    """A network in eval mode whose zero-initialised parts are random, so that every path counts."""
    torch.manual_seed(seed)
    model = PointATA(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    for name, value in model.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif name.endswith("running_mean"):
            value.normal_(std=0.1)
    return model.eval()


def clip(length: int, streams: int = 2, features: int = 0, seed: int = 1, where: float = 5000.0) -> Clip:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(streams, length, POINTS, 3, generator=generator)
    origins = torch.randn(streams, length, 3, generator=generator, dtype=torch.float64) * 0.2 + where
    return Clip(
        points=points,
        origins=origins,
        stamps=torch.arange(length, dtype=torch.float64).expand(streams, length) * 0.1,
        neighbours=nearest(points, points, 4)[1],
        features=torch.randn(streams, length, POINTS, features, generator=generator) if features else None,
    )


@pytest.mark.parametrize("name", list(BACKBONES))
@torch.inference_mode()
def test_stream_equals_clip(name: str) -> None:
    model, video = awake(small(name)), clip(9)  # longer than the window of 5: the history slides
    whole = model(video)
    state = model.initial_state(2)
    for t in range(9):
        outputs, state = model.step(video.frames(t, t + 1), state)
        assert set(outputs) == set(HEADS)
        for task, value in outputs.items():
            assert (value[:, 0] - whole[task][:, t]).abs().max() < 1e-4
            assert value.std() > 1e-3  # the outputs say something


@torch.inference_mode()
def test_chunks_of_any_length_equal_the_clip() -> None:
    model, video = awake(small(features=("doppler",), height=True)), clip(8, features=1)
    whole, state = model(video), model.initial_state(2)
    for start, stop in ((0, 3), (3, 4), (4, 8)):
        outputs, state = model.run(video.frames(start, stop), state)
        for task, value in outputs.items():
            torch.testing.assert_close(value, whole[task][:, start:stop], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_the_future_has_no_influence_and_the_past_has() -> None:
    model, video = awake(small()), clip(6)
    whole = model(video)
    for changed in (0, 3, 5):
        points = video.points.clone()
        points[:, changed] = points[:, changed].flip(-1) * 1.3
        outputs = model(replace(video, points=points))
        for task in HEADS:
            torch.testing.assert_close(outputs[task][:, :changed], whole[task][:, :changed], atol=0, rtol=0)
            assert (outputs[task][:, changed] - whole[task][:, changed]).abs().max() > 1e-4
            if changed < 5:
                assert (outputs[task][:, changed + 1] - whole[task][:, changed + 1]).abs().max() > 1e-5


@torch.inference_mode()
def test_streams_in_a_batch_do_not_see_each_other_and_reset_alone() -> None:
    model, video = awake(small()), clip(7)
    _, state = model.run(video.frames(0, 4), model.initial_state(2))
    update(state, torch.tensor([1]), model.initial_state(1))
    outputs, _ = model.run(video.frames(4, 7), state)
    alone = model(
        replace(video, **{f: getattr(video, f)[1:] for f in ("points", "origins", "stamps", "neighbours")}).frames(4, 7)
    )
    whole = model(video)
    for task in HEADS:
        torch.testing.assert_close(outputs[task][1], alone[task][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(outputs[task][0], whole[task][0, 4:], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_state_has_a_fixed_size() -> None:
    model, video = awake(small()), clip(12)
    state = model.initial_state(2)
    size = kib(state)
    for t in range(12):
        _, state = model.step(video.frames(t, t + 1), state)
    assert kib(state) == size


@torch.inference_mode()
def test_the_world_may_be_far_away() -> None:
    model = awake(small())
    near, far = model(clip(4, where=0.0)), model(clip(4, where=1e6))
    for task in HEADS:
        torch.testing.assert_close(near[task], far[task], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", list(BACKBONES))
@torch.inference_mode()
def test_fresh_adapters_leave_the_frozen_network_bit_identical(name: str) -> None:
    torch.manual_seed(3)
    config = small(name)
    model = PointATA(config).eval()
    video = clip(4)
    encoded, _ = model.encode(video, model.initial_state(2))
    flat = video.points.flatten(0, 1)
    centres, patches, _ = group(flat, config.groups, config.group_size)
    frozen = model.backbone(patches, centres).unflatten(0, (2, 4))
    assert encoded.tokens is not None
    assert torch.equal(encoded.tokens.layers[-1], frozen)


@torch.inference_mode()
def test_backbone_against_a_functional_recomputation() -> None:
    """Point-MAE's encoder written a second time, with plain functions on the weights."""
    config = BackboneConfig(width=24, depth=3, heads=4, tokenizer=(8, 12, 20), position_hidden=10)
    model = awake(small(backbone=config)).backbone
    patches, centres = torch.randn(5, 7, 6, 3), torch.randn(5, 7, 3)
    w = dict(model.named_parameters()) | dict(model.named_buffers())

    def linear(name: str, x: Tensor) -> Tensor:
        bias = w.get(f"{name}.bias")
        y = torch.einsum("...i,oi->...o", x, w[f"{name}.weight"])
        return y if bias is None else y + bias

    def batch_norm(name: str, x: Tensor) -> Tensor:
        x = (x - w[f"{name}.running_mean"]) / torch.sqrt(w[f"{name}.running_var"] + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def layer_norm(name: str, x: Tensor) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.erf(x / 2**0.5))

    x = linear("tokenizer.first_out", F.relu(batch_norm("tokenizer.first_norm", linear("tokenizer.first_in", patches))))
    x = torch.cat([x.max(dim=2, keepdim=True).values.expand_as(x), x], dim=-1)
    x = linear("tokenizer.second_out", F.relu(batch_norm("tokenizer.second_norm", linear("tokenizer.second_in", x))))
    tokens = x.max(dim=2).values
    position = linear("position.2", gelu(linear("position.0", centres)))
    for i in range(3):
        tokens = tokens + position
        qkv = linear(f"blocks.{i}.attn.qkv", layer_norm(f"blocks.{i}.norm1", tokens))
        q, k, v = qkv.reshape(5, 7, 3, 4, 6).permute(2, 0, 3, 1, 4)
        attention = torch.softmax(q @ k.transpose(-1, -2) * 6**-0.5, dim=-1)
        tokens = tokens + linear(f"blocks.{i}.attn.proj", (attention @ v).transpose(1, 2).reshape(5, 7, 24))
        hidden = gelu(linear(f"blocks.{i}.mlp.0", layer_norm(f"blocks.{i}.norm2", tokens)))
        tokens = tokens + linear(f"blocks.{i}.mlp.2", hidden)
    torch.testing.assert_close(model(patches, centres), layer_norm("norm", tokens), atol=1e-4, rtol=1e-4)


def test_base_is_the_point_mae_encoder() -> None:
    sizes = {n: tuple(p.shape) for n, p in PointATA(preset("base")).backbone.named_parameters()}
    assert sum(torch.Size(s).numel() for s in sizes.values()) == pytest.approx(22.1e6, rel=0.02)
    assert sizes["blocks.11.attn.qkv.weight"] == (1152, 384)
    assert "blocks.0.attn.qkv.bias" not in sizes
    assert sizes["tokenizer.second_in.weight"] == (512, 512)


@torch.inference_mode()
@pytest.mark.parametrize(("points", "groups"), [(16, 16), (1024, 1024)])
def test_tokens_are_a_dial(points: int, groups: int) -> None:
    model = awake(preset("tiny", groups=groups, group_size=8, heads={"action": 3}))
    outputs, _ = model.step(
        Clip(torch.randn(1, 1, points, 3), torch.zeros(1, 1, 3).double(), torch.zeros(1, 1).double()),
        model.initial_state(1),
    )
    assert outputs["action"].shape == (1, 1, 3)
    assert outputs["action"].isfinite().all()


@pytest.mark.parametrize(
    "wrong",
    [{"groups": 4}, {"group_size": 0}, {"window": 2}, {"heads": {"poetry": 3}}, {"heads": {"action": 1}}],
)
def test_settings_that_contradict_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        small(**wrong)  # type: ignore[arg-type]


def test_config_survives_plain_data() -> None:
    config = small("base", features=("doppler", "intensity"))
    assert NetworkConfig.from_dict(config.to_dict()) == config
