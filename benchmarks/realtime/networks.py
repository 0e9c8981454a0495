"""Networks with random weights: what a step costs does not depend on what the network knows."""

from collections.abc import Mapping
from pathlib import Path

import torch

from pointata.bundles.adapter import save_bundle
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.classes import ClassInfo
from pointata.inference.predictor import Predictor
from pointata.model.config import NetworkConfig, preset
from pointata.model.pointata import PointATA
from pointata.model.trainable import is_adapter
from pointata.preprocessing.sampling import SamplingConfig

PRESETS = ("tiny", "small", "base")
#: Heads of a network for everything, and of one that only watches actions.
ALL_HEADS: Mapping[str, int] = {"action": 8, "segments": 8, "semantic": 7}
ACTION_HEADS: Mapping[str, int] = {"action": 8, "segments": 8}


def config(name: str, window: int = 24, groups: int = 64, heads: Mapping[str, int] = ALL_HEADS) -> NetworkConfig:
    """A preset with tokens of 32 points."""
    return preset(name, window=window, groups=groups, group_size=32, heads=dict(heads))


def random_network(network: NetworkConfig) -> PointATA:
    """A network as deployed (eval mode, no gradients), always the same, whose adapter is drawn at full strength.

    A new adapter is the identity: no error in what passes from frame to frame would show.
    """
    torch.manual_seed(0)
    model = PointATA(network).eval().requires_grad_(False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_adapter(name) and parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    return model


def metadata(network: NetworkConfig, frame_period_s: float = 0.1, points: int = 2048) -> AdapterMetadata:
    """The metadata of a bundle of the network: so many points a frame, thinned to 20 cm."""
    return AdapterMetadata(
        name=f"random_{network.backbone.width}",
        network=network,
        sampling=SamplingConfig(points=points, voxel_m=0.2, scale_m=20.0, point_neighbours=8),
        heads={
            task: tuple(ClassInfo(i, f"class_{i}", (20 * i, 255 - 20 * i, 128)) for i in range(count))
            for task, count in network.heads.items()
        },
        frame_period_s=frame_period_s,
        backbone=f"random_backbone_{network.backbone.width}",
        training={"mode": "none: random weights, for timing only"},
    )


def ready_predictor(network: NetworkConfig, streams: int = 1, points: int = 2048) -> Predictor:
    """A predictor on the CPU, warmed up: its step is recorded, as on the robot."""
    predictor = Predictor(random_network(network), metadata(network, points=points), device="cpu", streams=streams)
    predictor.warm_up()
    return predictor


def write_bundle(folder: Path, network: NetworkConfig, frame_period_s: float, points: int) -> Path:
    """Save such a network; returns the adapter bundle's file."""
    stated = metadata(network, frame_period_s, points)
    return save_bundle(folder, random_network(network), stated, replace_backbone=True)
