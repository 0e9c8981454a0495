"""The metadata of an adapter bundle: architecture and sampling, every size within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pointata.bundles.metadata import NetworkMetadata, check_file_name
from pointata.bundles.schema import Rule, flag, listing, mapping, number, one_of, record, refuse, text, whole
from pointata.errors import ConfigError
from pointata.model.config import BackboneConfig, NetworkConfig
from pointata.preprocessing.point_ops.ops import point_ops
from pointata.preprocessing.point_sampler import PointSampler, cropped
from pointata.preprocessing.preprocessor import Crop
from pointata.preprocessing.sampling import SamplingConfig
from pointata.tasks import TASKS, of_scope
from pointata.tasks.scope import Scope

#: Architecture of a backbone.
BACKBONE = record(
    {
        "width": whole(1, 4096),
        "depth": whole(1, 64),
        "heads": whole(1, 64),
        "tokenizer": listing(whole(1, 4096), 3, 3),
        "position_hidden": whole(1, 4096),
    }
)
#: What the embedder sees of a network, by field.
EMBEDDER: Mapping[str, Rule[Any]] = {
    "backbone": BACKBONE,
    "groups": whole(1, 1024),
    "group_size": whole(1, 1024),
    "features": listing(text(), 0, 64),
    "height": flag,
}
_NETWORK = record(
    {
        **EMBEDDER,
        "window": whole(3, 1024),
        "adapter_width": whole(1, 4096),
        "context_neighbours": whole(1, 1024),
        "heads": mapping(one_of(*TASKS), whole(2, 255), len(TASKS)),
    }
)
_SAMPLING = record(
    {
        "points": whole(1, 65_536),
        "voxel_m": number(0, 1e3),
        "range_power": number(0, 2),
        "scale_m": number(1e-3, 1e4),
        "min_range_m": number(0, 1e5),
        "max_range_m": number(0, 1e5),
        "point_neighbours": whole(0, 256),
    },
    optional={"centre_m": listing(number(-1e5, 1e5), 3, 3)},
)
# What sizes that no weight shows may cost at most: entries of a table that a step makes.
_MOST_GROUPED, _MOST_LISTED, _MOST_DISTANCES = 2**17, 2**20, 2**26


def backbone_config(network: Mapping[str, Any]) -> BackboneConfig:
    """Architecture of a backbone bundle, of its header's (checked) `network`."""
    return BackboneConfig(**(dict(network) | {"tokenizer": tuple(network["tokenizer"])}))


@dataclass(frozen=True, kw_only=True)
class AdapterMetadata(NetworkMetadata):
    """The metadata of an adapter bundle of a PointATA."""

    network: NetworkConfig
    """Architecture."""
    sampling: SamplingConfig
    """How frames are sampled and normalised."""
    backbone: str
    """Name of the backbone bundle it belongs to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_file_name(self.backbone)
        if self.name == self.backbone:
            raise ConfigError(f"bundle {self.name!r} has the name of its backbone: their files need different names")
        sizes = {task: len(classes) for task, classes in self.heads.items()}
        if sizes != dict(self.network.heads):
            raise ConfigError(f"bundle {self.name!r} names {sizes} classes for heads of {dict(self.network.heads)}")
        self._check_sizes()

    def _check_sizes(self) -> None:
        net, points = self.network, self.sampling.points
        if max(net.groups, net.group_size) > points:
            raise ConfigError(
                f"bundle {self.name!r} samples {points} points a frame: too few for {net.groups} groups of "
                f"{net.group_size}"
            )
        for task in of_scope(self.heads, Scope.POINT):
            if not self.sampling.point_neighbours:
                raise ConfigError(f"bundle {self.name!r} has a {task} head: sampling.point_neighbours must not be 0")
        tables = {
            "groups x group_size": (net.groups * net.group_size, _MOST_GROUPED),
            "points x point_neighbours": (points * self.sampling.point_neighbours, _MOST_LISTED),
            "points x groups": (points * net.groups, _MOST_DISTANCES),
        }
        for what, (size, most) in tables.items():
            if size > most:
                refuse(f"bundle {self.name!r}: {what}", size, f"at most {most}")

    @property
    def window_frames(self) -> int:
        """Frames in the window of the action heads."""
        return self.network.window

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Point fields needed besides x, y, z."""
        return self.network.features

    def preprocessor(self, crop: Crop, device: torch.device, threads: int) -> PointSampler:
        """Samples points."""
        ops = point_ops(device, threads)
        return PointSampler(cropped(self.sampling, crop), self.feature_names, crop.drop_zeros, ops)

    @classmethod
    def own_rules(cls) -> Mapping[str, Rule[Any]]:
        """Architecture, sampling and backbone."""
        return {"network": _NETWORK, "sampling": _SAMPLING, "backbone": text()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the file's header."""
        own = {"network": self.network.to_dict(), "sampling": self.sampling.to_dict(), "backbone": self.backbone}
        return {"name": self.name, **own, **super().to_dict()}

    @classmethod
    def own_fields(cls, checked: Mapping[str, Any]) -> dict[str, Any]:
        """Architecture and sampling."""
        return {
            "network": NetworkConfig.from_dict(checked["network"]),
            "sampling": SamplingConfig.from_dict(checked["sampling"]),
        }
