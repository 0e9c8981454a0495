"""The network that stage 2 trains, and the metadata of its bundle."""

from pathlib import Path
from typing import Any

from pointata.adaptation.settings import AdaptSettings
from pointata.alignment.embedder_file import aligned_network, load_aligned
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.backbone import read_backbone
from pointata.errors import ConfigError
from pointata.model.config import NetworkConfig, preset_of
from pointata.model.pointata import PointATA
from pointata.model.trainable import set_trainable
from pointata.tasks import of_scope
from pointata.tasks.scope import Scope
from pointata.training.description import DataDescription
from pointata.training.network import NetworkSettings


def build_network(settings: AdaptSettings, network: NetworkSettings, data: DataDescription) -> PointATA:
    """The network for some data, on its backbone and with its aligned embedder; only what is trained has gradients.

    Raises:
        ConfigError, BundleError: the settings contradict the data, or a bundle is missing or does not fit.
    """
    p = settings
    backbone = None if p.mode == "scratch" else read_backbone(p.backbone)
    config = network.config(
        backbone,
        {} if p.aligned is None else aligned_network(p.aligned),
        features=data.features,
        heads={task: len(classes) for task, classes in data.heads.items()},
    )
    if of_scope(config.heads, Scope.WINDOW, Scope.FRAME) and not 0 <= p.settle_frames < data.shortest_clip:
        raise ConfigError(f"settle_frames ({p.settle_frames}) must be below the clip's {data.shortest_clip} frames")
    bundle_metadata(p, config, data)  # refuses what no bundle can hold, before any training
    model = PointATA(config, backbone)
    if p.aligned is not None:
        load_aligned(p.aligned, model)
    set_trainable(model, p.mode, p.trains_point_net)
    return model


def bundle_metadata(
    settings: AdaptSettings, config: NetworkConfig, data: DataDescription, **training: Any
) -> AdapterMetadata:
    """The metadata of the bundle; `training` is added to what they state of the training."""
    p = settings
    return AdapterMetadata(
        name=p.name,
        network=config,
        sampling=data.sampling,
        heads=data.heads,
        frame_period_s=data.frame_period_s,
        merge=data.merge,
        backbone=f"{p.name}_backbone" if p.mode == "full" else Path(p.backbone).stem,
        training={**data.provenance, "mode": p.mode, "preset": preset_of(config.backbone), **training},
        simulated=data.simulated,
        data_licence=data.licence,
    )
