"""Point sets for pre-training: drawn from several sources, augmented, batched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointata.errors import ConfigError, DataError
from pointata.geometry.rigid import yaw
from pointata.pretraining.frames import FrameSettings
from pointata.pretraining.shapes import ShapeSet, load_shapes
from pointata.training.fit import ResumableData


@dataclass(frozen=True)
class ShapeAugmentation:
    """Random changes of a point set: later stages see things turned, at all sizes, away from the origin, noisy."""

    scale: tuple[float, float] = (0.5, 1.5)
    """Range of the factor."""
    shift: float = 1.0
    """Largest shift along x and y; half of it along z."""
    jitter: float = 0.01
    """Largest standard deviation of noise on every point, before scaling."""

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] or min(self.shift, self.jitter) < 0:
            raise ConfigError(f"scale must be a positive range, shift and jitter 0 or more: {self}")

    def apply(self, points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Turn (N, 3) points about z, scale, shift and disturb them."""
        noise = rng.normal(0, rng.uniform(0, self.jitter), points.shape) if self.jitter else 0.0
        shift = rng.uniform(-1, 1, 3) * self.shift * np.array([1.0, 1.0, 0.5])
        matrix = yaw(rng.uniform(0, 2 * np.pi))[:3, :3] * rng.uniform(*self.scale)
        return ((points + noise) @ matrix.T + shift).astype(np.float32)


class ShapeDraws(Dataset[Tensor]):
    """Augmented draws, from each source equally often. Draw `i` of an epoch is always the same."""

    def __init__(
        self, sources: Sequence[ShapeSet], augmentation: ShapeAugmentation, draws: int, seed: int, epoch: int
    ) -> None:
        """Lay out an epoch of `draws` draws from non-empty sources."""
        self._sources, self._augmentation, self._draws = sources, augmentation, draws
        self._key = (seed, epoch)

    def __len__(self) -> int:
        return self._draws

    def __getitem__(self, item: int) -> Tensor:
        rng = np.random.default_rng([*self._key, item])
        points = self._sources[item % len(self._sources)].points
        return torch.from_numpy(self._augmentation.apply(points[int(rng.integers(len(points)))], rng))


@dataclass(frozen=True)
class ShapeSettings:
    """Point sets: from where, and how many."""

    source: str = "sim:shapes,sim:frames"
    """Folders of meshes and simulated sources (see `load_shapes`), separated by commas."""
    points: int = 1024
    """Points of a set; at least as many as the densest batch takes."""
    draws_per_epoch: int = 6400
    """Point sets of an epoch."""
    validation_draws: int = 512
    """Point sets watched during training, from the sources' test parts."""
    batch_size: int = 64
    """Point sets of a batch."""
    augmentation: ShapeAugmentation = ShapeAugmentation()
    """Random changes."""
    frames: FrameSettings = FrameSettings()  # noqa: RUF009  (frozen)
    """How frames of the simulator are sampled."""
    workers: int = 0
    """Processes that draw."""

    def __post_init__(self) -> None:
        if not self.specs:
            raise DataError("data.source names no source: give a folder of meshes, sim:shapes or sim:frames")
        if min(self.points, self.draws_per_epoch, self.validation_draws, self.batch_size) < 1:
            raise ConfigError("points, draws_per_epoch, validation_draws and batch_size must be at least 1")

    @property
    def specs(self) -> list[str]:
        """The sources one by one."""
        return [spec.strip() for spec in self.source.split(",") if spec.strip()]


@dataclass(frozen=True)
class ShapeDescription:
    """What pre-training and its backbone need to know of the point sets."""

    points: int
    """Points of a set."""
    seed: int
    """Of the point sets and the draws."""
    simulated: bool
    """Whether no mesh of a file is among them."""
    provenance: Mapping[str, Any]
    """What a bundle keeps of the data, as plain data."""


class ShapeData(ResumableData):
    """Single shapes and frames for pre-training."""

    def __init__(self, settings: ShapeSettings, seed: int = 0) -> None:
        """Args: settings: which point sets. seed: of them and of the draws."""
        super().__init__()
        self.settings = settings
        self.description = ShapeDescription(
            points=settings.points,
            seed=seed,
            simulated=all(spec.startswith("sim:") for spec in settings.specs),
            provenance={"data": ", ".join(settings.specs), "points": settings.points, "seed": seed},
        )
        self._train: list[ShapeSet] = []
        self._validation: list[ShapeSet] = []

    def setup(self, stage: str) -> None:
        """Load every source."""
        if not self._train:
            p, seed = self.settings, self.description.seed
            self._train = [load_shapes(spec, p.points, seed, "train", p.frames) for spec in p.specs]
            self._validation = [load_shapes(spec, p.points, seed, "test", p.frames) for spec in p.specs]

    def _loader(self, sources: Sequence[ShapeSet], draws: int, epoch: int) -> DataLoader[Tensor]:
        drawn = ShapeDraws(sources, self.settings.augmentation, draws, self.description.seed, epoch)
        return DataLoader(drawn, batch_size=self.settings.batch_size, num_workers=self.settings.workers)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """The draws of the current epoch; to be asked for again at each."""
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        return self._loader(self._train, self.settings.draws_per_epoch, epoch + 1)

    def val_dataloader(self) -> DataLoader[Tensor]:
        """The same draws at every epoch."""
        return self._loader(self._validation, self.settings.validation_draws, 0)
