"""What a bundle's header may say: every field's type and range, in one place."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from pointata.bundles.schema import Rule, flag, listing, mapping, number, one_of, plain, record, refuse, text, whole
from pointata.classes import ClassInfo
from pointata.errors import ConfigError
from pointata.model.config import BackboneConfig, NetworkConfig
from pointata.preprocessing.merging import MOST
from pointata.preprocessing.point_ops.ops import point_ops
from pointata.preprocessing.point_sampler import PointSampler, cropped
from pointata.preprocessing.preprocessor import Crop, Preprocessor
from pointata.preprocessing.sampling import SamplingConfig
from pointata.tasks import TASKS, of_scope
from pointata.tasks.scope import Scope

_CLASS = record({"id": whole(0, 254), "name": text(), "color": listing(whole(0, 255), 3, 3)})
_BACKBONE = record(
    {
        "width": whole(1, 4096),
        "depth": whole(1, 64),
        "heads": whole(1, 64),
        "tokenizer": listing(whole(1, 4096), 3, 3),
        "position_hidden": whole(1, 4096),
    }
)
_NETWORK = record(
    {
        "backbone": _BACKBONE,
        "groups": whole(1, 1024),
        "group_size": whole(1, 1024),
        "window": whole(3, 1024),
        "adapter_width": whole(1, 4096),
        "context_neighbours": whole(1, 1024),
        "features": listing(text(), 0, 64),
        "height": flag,
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
# Of every kind of bundle.
_ORIGIN = {
    "training": mapping(text(), plain(), 1000),
    "simulated": flag,
    "licence": text(least=0),
    "data_licence": text(least=0),
}
_ADAPTER = record(
    {
        "name": text(),
        "network": _NETWORK,
        "sampling": _SAMPLING,
        "heads": mapping(one_of(*TASKS), listing(_CLASS, 2, 255), len(TASKS)),
        "frame_period_s": number(0.001, 60),
        "backbone": text(),
    },
    optional={
        **_ORIGIN,
        "score": mapping(text(), number(-1e9, 1e9), 1000),
        "scored_on": listing(text(4096), 0, 10_000),
        "merge": whole(1, MOST),
        "farthest_window": number(0, 1e6),
    },
)
_FINGERPRINT = text(16, 16)
_BACKBONE_HEADER = record({"name": text(), "network": _BACKBONE, "checksum": _FINGERPRINT}, optional=_ORIGIN)
_ADAPTER_HEADER = record({"metadata": _ADAPTER, "backbone_checksum": _FINGERPRINT}, optional={"checksum": _FINGERPRINT})
_ALIGNED_HEADER = record(
    {
        "backbone_checksum": _FINGERPRINT,
        "network": mapping(text(), plain(), 1000),
        "metadata": mapping(text(), plain(), 1000),
    },
    optional={"checksum": _FINGERPRINT},
)
#: What the header of each kind of bundle may say, checked field by field; `register_kind` adds to it.
HEADERS: dict[str, Rule[dict[str, Any]]] = {
    "adapter": _ADAPTER_HEADER,
    "backbone": _BACKBONE_HEADER,
    "align": _ALIGNED_HEADER,
}
# What sizes that no weight shows may cost at most: entries of a table that a step makes.
_MOST_GROUPED, _MOST_LISTED, _MOST_DISTANCES = 2**17, 2**20, 2**26


def backbone_config(network: Mapping[str, Any]) -> BackboneConfig:
    """Architecture of a backbone bundle, of its header's (checked) `network`."""
    return BackboneConfig(**(dict(network) | {"tokenizer": tuple(network["tokenizer"])}))


@dataclass(frozen=True, kw_only=True)
class NetworkMetadata(ABC):
    """What the bundle of a network says of itself, of whatever kind."""

    name: str
    """Name of the bundle."""
    heads: Mapping[str, tuple[ClassInfo, ...]]
    """Classes of each task (see `pointata.tasks`)."""
    frame_period_s: float
    """Time between two frames in training, seconds."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, mode, seed and duration of the training."""
    score: Mapping[str, float] = field(default_factory=dict)
    """Measured on data unseen in training."""
    scored_on: tuple[str, ...] = ()
    """The recordings it was measured on, as `pointata evaluate` takes them."""
    merge: int = 1
    """Clouds of the sensor that are joined into each frame (see `pointata.preprocessing.merging`)."""
    farthest_window: float = 0.0
    """A window whose distance from the training (`StreamingNetwork.window_distance`) is above this shows no action
    that the bundle knows; 0 where it was not measured."""
    simulated: bool = False
    """Trained on simulated data only: not to be relied on with a real sensor."""
    licence: str = ""
    """Of the weights; empty where it is not stated."""
    data_licence: str = ""
    """Of the data it was trained on; empty where it is not stated."""

    @property
    @abstractmethod
    def window_frames(self) -> int:
        """Frames that the results look back over, the newest included."""

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """Point fields needed besides x, y, z."""

    @abstractmethod
    def preprocessor(self, crop: Crop, device: torch.device, threads: int) -> Preprocessor:
        """What makes frames into inputs of the network.

        Args:
            crop: points that the deployment leaves out.
            device: where the network runs.
            threads: that may be used on the CPU.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the file's header."""


@dataclass(frozen=True, kw_only=True)
class BundleMetadata(NetworkMetadata):
    """What an adapter bundle, of a PointATA, says of itself."""

    network: NetworkConfig
    """Architecture."""
    sampling: SamplingConfig
    """How frames are sampled and normalised."""
    backbone: str
    """Name of the backbone bundle it belongs to."""

    def __post_init__(self) -> None:
        _ADAPTER(self.to_dict(), "metadata")
        for name in (self.name, self.backbone):
            if "/" in name or name in (".", ".."):
                raise ConfigError(
                    f"{name!r} is to name a bundle's file: it must not be empty or hold a slash, or be . or .."
                )
        if self.name == self.backbone:
            raise ConfigError(f"bundle {self.name!r} has the name of its backbone: their files need different names")
        sizes = {task: len(classes) for task, classes in self.heads.items()}
        if sizes != dict(self.network.heads):
            raise ConfigError(f"bundle {self.name!r} names {sizes} classes for heads of {dict(self.network.heads)}")
        for task, classes in self.heads.items():
            if [c.id for c in classes] != list(range(len(classes))):
                refuse(f"metadata.heads.{task}", [c.id for c in classes], "the ids 0, 1, 2, ... in order")
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

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the file's header."""
        return {
            "name": self.name,
            "network": self.network.to_dict(),
            "sampling": self.sampling.to_dict(),
            "heads": {task: [asdict(entry) for entry in classes] for task, classes in self.heads.items()},
            "frame_period_s": self.frame_period_s,
            "backbone": self.backbone,
            "training": dict(self.training),
            "score": dict(self.score),
            "scored_on": list(self.scored_on),
            "merge": self.merge,
            "farthest_window": self.farthest_window,
            "simulated": self.simulated,
            "licence": self.licence,
            "data_licence": self.data_licence,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "BundleMetadata":
        """The way back from `to_dict`.

        Raises:
            ConfigError: a field is missing or unknown, of a type or value that is not allowed, or contradicts another.
        """
        checked = _ADAPTER(data, "metadata")
        return cls(
            **(
                checked
                | {
                    "network": NetworkConfig.from_dict(checked["network"]),
                    "sampling": SamplingConfig.from_dict(checked["sampling"]),
                    "heads": {
                        task: tuple(ClassInfo(**entry) for entry in classes)
                        for task, classes in checked["heads"].items()
                    },
                }
            )
        )
