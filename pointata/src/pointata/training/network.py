"""The network of a training run, on a pre-trained backbone."""

from pointata.bundles.backbone import read_backbone
from pointata.errors import ConfigError
from pointata.model.config import NetworkConfig
from pointata.model.pointata import PointATA


def on_backbone(name: str, config: NetworkConfig) -> PointATA:
    """A fresh network on the weights of a backbone bundle, given by name or path.

    Raises:
        BundleError: no such backbone, or a damaged one.
        ConfigError: the backbone is not of the network's size.
    """
    backbone = read_backbone(name)
    if backbone.config != config.backbone:
        raise ConfigError(
            f"backbone {name!r} is {backbone.config}, but the preset makes it {config.backbone}: "
            "choose the preset that the backbone was made with"
        )
    return PointATA(config, backbone)
