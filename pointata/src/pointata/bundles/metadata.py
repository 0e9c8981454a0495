"""The metadata of any network's bundle: names, classes, origin, figures."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch

from pointata.bundles.schema import Rule, flag, listing, mapping, number, one_of, plain, record, refuse, text, whole
from pointata.classes import ClassInfo
from pointata.errors import ConfigError
from pointata.preprocessing.merging import MOST
from pointata.preprocessing.preprocessor import Crop, Preprocessor
from pointata.tasks import TASKS

Metadata = TypeVar("Metadata", bound="NetworkMetadata")

_CLASS = record({"id": whole(0, 254), "name": text(), "color": listing(whole(0, 255), 3, 3)})
#: Where any bundle comes from.
ORIGIN: Mapping[str, Rule[Any]] = {
    "training": mapping(text(), plain(), 1000),
    "simulated": flag,
    "licence": text(least=0),
    "data_licence": text(least=0),
}


@dataclass(frozen=True, kw_only=True)
class NetworkMetadata(ABC):
    """The metadata of a network's bundle; each kind of network adds what it needs."""

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

    def __post_init__(self) -> None:
        self.rule()(self.to_dict(), "metadata")
        check_file_name(self.name)
        for task, classes in self.heads.items():
            if [c.id for c in classes] != list(range(len(classes))):
                refuse(f"metadata.heads.{task}", [c.id for c in classes], "the ids 0, 1, 2, ... in order")

    @classmethod
    @abstractmethod
    def own_rules(cls) -> Mapping[str, Rule[Any]]:
        """What the kind's own fields may be in a file."""

    @classmethod
    def rule(cls) -> Rule[dict[str, Any]]:
        """What the metadata of this kind may be in a file."""
        return record(
            {
                "name": text(),
                **cls.own_rules(),
                "heads": mapping(one_of(*TASKS), listing(_CLASS, 2, 255), len(TASKS)),
                "frame_period_s": number(0.001, 60),
            },
            optional={
                **ORIGIN,
                "score": mapping(text(), number(-1e9, 1e9), 1000),
                "scored_on": listing(text(4096), 0, 10_000),
                "merge": whole(1, MOST),
                "farthest_window": number(0, 1e6),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for the file's header; a kind adds its own fields."""
        return {
            "name": self.name,
            "heads": {task: [asdict(entry) for entry in classes] for task, classes in self.heads.items()},
            "frame_period_s": self.frame_period_s,
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
    def from_dict(cls: type[Metadata], data: Mapping[str, Any]) -> Metadata:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: a field is missing or unknown, of a type or value that is not allowed, or contradicts another.
        """
        checked = cls.rule()(data, "metadata")
        heads = {task: tuple(ClassInfo(**entry) for entry in classes) for task, classes in checked["heads"].items()}
        return cls(**(checked | {"heads": heads} | cls.own_fields(checked)))

    @classmethod
    def own_fields(cls, checked: Mapping[str, Any]) -> dict[str, Any]:
        """The kind's own fields, where they are not plain data, of what their rules gave."""
        return {}


def check_file_name(name: str) -> None:
    """Refuse a name that cannot be a bundle's file."""
    if "/" in name or name in ("", ".", ".."):
        raise ConfigError(f"{name!r} is to name a bundle's file: it must not be empty, contain a slash, or be . or ..")
