"""The bundle whose heads are trained further, and the new one that comes of it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pointata.bundles.adapter import check_bundle_output
from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.bundle import load_bundle
from pointata.bundles.catalogue import resolve
from pointata.errors import ConfigError
from pointata.model.pointata import PointATA
from pointata.tasks import TASKS, of_scope
from pointata.tasks.scope import Scope
from pointata.training.description import DataDescription


@dataclass(frozen=True)
class FrameHeadSettings:
    """How the heads are trained."""

    name: str
    """Name of the adapter bundle that is made."""
    bundle: str
    """Adapter bundle (a name or path) whose heads are trained further."""
    views: int = 4
    """Augmented views of each training recording."""
    steps: int = 1500
    """Optimizer steps."""
    batch: int = 32
    """Recordings of a batch."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, reached after the warm-up, then cosine to zero."""
    warmup_steps: int = 50
    """Steps of linear warm-up."""
    weight_decay: float = 0.05
    """Of AdamW."""
    noise: float = 0.05
    """Standard deviation of noise on the features, in units of their own deviation."""
    label_smoothing: float = 0.1
    """Of both losses."""
    settle_frames: int = 4
    """First frames of a recording that the losses and the accuracies leave out."""

    def __post_init__(self) -> None:
        if min(self.views, self.steps, self.batch) < 1:
            raise ConfigError(f"views, steps and batch must be at least 1: {self}")
        if self.learning_rate <= 0 or not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"learning_rate must be above 0 and label_smoothing from 0 to below 1: {self}")
        if min(self.warmup_steps, self.weight_decay, self.noise, self.settle_frames) < 0:
            raise ConfigError(f"warmup_steps, weight_decay, noise and settle_frames must not be negative: {self}")


def bundle_to_train(settings: FrameHeadSettings, data: DataDescription, out: Path) -> tuple[PointATA, AdapterMetadata]:
    """The network whose heads are trained, and the metadata of the new bundle.

    Args:
        settings: which bundle, and how it is trained.
        data: what it is trained on.
        out: folder of the new bundle.

    Raises:
        ConfigError: the bundle has no head that looks at whole frames, the data are not what it takes, or the new
            bundle would replace it.
        BundleError: the bundle cannot be loaded, or the folder has another backbone of that name.
    """
    model, metadata = load_bundle(settings.bundle)
    if not isinstance(model, PointATA) or not isinstance(metadata, AdapterMetadata):
        raise ConfigError(f"{settings.bundle} is not an adapter bundle: its network has no heads of frame features")
    if "pool" not in model.heads:
        raise ConfigError(f"{settings.bundle} has neither an action nor a segments head to train")
    _refuse_other_data(metadata, data)
    training = {
        **data.provenance,
        "views": settings.views,
        "batch": settings.batch,
        "steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "seed": data.seed,
        "torch": torch.__version__,
    }
    made = replace(
        metadata,
        name=settings.name,
        training={**metadata.training, "frame_heads": training},
        score={},  # it was another network's
        scored_on=(),
        simulated=metadata.simulated and data.simulated,
        data_licence="; ".join(dict.fromkeys(text for text in (metadata.data_licence, data.licence) if text)),
    )
    check_bundle_output(out, model, made, replace_backbone=False, made_from=[resolve(settings.bundle)])
    return model, made


def _refuse_other_data(metadata: AdapterMetadata, data: DataDescription) -> None:
    """Raise ConfigError unless the data are sampled, described and labelled as those that the bundle was made from."""
    # neighbours of points are the semantic head's alone
    given, wanted = (replace(s, point_neighbours=0).to_dict() for s in (data.sampling, metadata.sampling))
    differing = ", ".join(f"{name} to {value}" for name, value in wanted.items() if given[name] != value)
    if differing:
        raise ConfigError(f"bundle {metadata.name!r} samples frames otherwise: in data.sampling, set {differing}")
    if data.features != metadata.feature_names:
        raise ConfigError(
            f"bundle {metadata.name!r} takes other point channels than {list(data.features)}: "
            f"set data.features to {list(metadata.feature_names)}"
        )
    for task in of_scope(TASKS, Scope.WINDOW, Scope.FRAME):
        classes, own = ({c.id: c.name for c in heads.get(task, ())} for heads in (data.heads, metadata.heads))
        if own and classes != own:
            raise ConfigError(
                f"the {task} head of bundle {metadata.name!r} knows {', '.join(own.values())}; the data have "
                f"{', '.join(classes.values()) or 'no such task'}: take the data.set and data.tasks it was trained on"
            )
