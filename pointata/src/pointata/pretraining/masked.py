"""Masked autoencoding (Point-MAE's objective): 40 % of a frame's groups are seen, the others predicted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from pointata.bundles.backbone import save_backbone
from pointata.bundles.metadata import check_file_name
from pointata.errors import ConfigError
from pointata.geometry.neighbours import gather
from pointata.model.backbone import Backbone
from pointata.model.config import preset, preset_of
from pointata.model.tokenizer import group
from pointata.pretraining.decoder import Decoder, chamfer
from pointata.pretraining.shape_data import ShapeDescription
from pointata.training.network import BackboneSettings
from pointata.training.optimizer import adamw, stepwise


@dataclass(frozen=True)
class Density:
    """How a batch is cut into groups."""

    points: int
    """Points of a frame."""
    groups: int
    """Groups of a frame."""
    group_size: int
    """Points of a group."""

    def __post_init__(self) -> None:
        if self.groups < 4 or self.group_size < 1 or max(self.groups, self.group_size) > self.points:
            raise ConfigError(f"a density needs 4 or more groups, none larger or more than its points: {self}")


#: From a depth camera's frame to a radar's: one backbone is to serve them all.
DENSITIES = (Density(1024, 64, 32), Density(512, 64, 16), Density(256, 32, 12), Density(64, 16, 6))


@dataclass(frozen=True)
class PretrainSettings:
    """What is trained, and how."""

    name: str
    """Name of the backbone bundle that is made."""
    densities: tuple[Density, ...] = DENSITIES
    """Every batch takes one of them at random."""
    mask_share: float = 0.6
    """Share of the groups that the encoder does not see."""
    decoder_depth: int = 4
    """Transformer blocks of the decoder."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, reached after the warm-up, then cosine to zero."""
    weight_decay: float = 0.05
    """Of AdamW; none on vectors."""
    warmup_share: float = 0.05
    """Share of the steps with linear warm-up."""
    settled_share: float = 0.3
    """Share of the steps, the last ones, in which the tokenizer's normalisation keeps its statistics. Later stages
    freeze them: the network should have been trained with what it will be used with."""

    def __post_init__(self) -> None:
        check_file_name(self.name)
        if not self.densities:
            raise ConfigError("densities must name at least one density (points, groups, group_size)")
        if not 0 < self.mask_share < 1 or not 0 <= self.settled_share < 1 or not 0 <= self.warmup_share < 1:
            raise ConfigError(f"mask_share must lie between 0 and 1, warmup_share and settled_share below 1: {self}")
        if self.decoder_depth < 1:
            raise ConfigError(f"decoder_depth must be at least 1, got {self.decoder_depth}")


def random_mask(batch: int, groups: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random partition of the groups: indices of visible (B, V) and masked (B, M) ones, M / groups about `share`."""
    masked = min(max(round(share * groups), 1), groups - 1)
    order = torch.rand(batch, groups, generator=generator).argsort(dim=1)
    return order[:, masked:], order[:, :masked]


def thinned(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(B, count, 3) of (B, P, 3) points in farthest point order: random ones of the first 2 count, in their order.

    Random, because the points of a sparse sensor do not lie as evenly as farthest points do.
    """
    among = min(2 * count, points.shape[1])
    kept = torch.randperm(among, generator=generator)[:count].sort().values
    return points[:, kept.to(points.device)]


class MaskedAutoencoder(nn.Module):
    """Encoder (the backbone) and decoder."""

    def __init__(self, backbone: Backbone, decoder: Decoder) -> None:
        super().__init__()
        self.backbone, self.decoder = backbone, decoder

    def forward(self, points: Tensor, density: Density, visible: Tensor, masked: Tensor) -> Tensor:
        """Reconstruction error.

        Chamfer-L2 of the masked groups in units of the mean squared radius of the sample's own groups: those of a
        street are ten times as wide as those of a chair, and count no more.

        Args:
            points: (B, P, 3), farthest points first.
            density: how to cut them.
            visible: (B, V) groups that the encoder sees.
            masked: (B, M) groups to reconstruct.

        Returns:
            scalar.
        """
        centres, patches, _ = group(points, density.groups, density.group_size)
        flat = patches.flatten(-2)  # (B, G, 3 K)

        def pick(values: Tensor, index: Tensor) -> Tensor:
            return gather(values, index.unsqueeze(1)).squeeze(1)

        shown, truth = (
            pick(flat, index).view(*index.shape, density.group_size, 3) for index in (visible, masked)
        )  # (B, V, K, 3), (B, M, K, 3)
        tokens = self.backbone(shown, pick(centres, visible))
        rebuilt = self.decoder(tokens, pick(centres, visible), pick(centres, masked), density.group_size)
        unit = patches.square().sum(dim=-1).mean(dim=(1, 2)).clamp(min=1e-8)  # (B,)
        return (chamfer(rebuilt, truth).mean(dim=1) / unit).mean()


class MaskedAutoencoding(lightning.LightningModule):
    """Trains a backbone by masked autoencoding.

    Everything random of a step follows from the number of the step, so that a resumed run is the uninterrupted one.
    """

    def __init__(self, settings: PretrainSettings, autoencoder: MaskedAutoencoder, data: ShapeDescription) -> None:
        """Take a network; `for_data` makes it.

        Raises:
            ConfigError: a density needs more points than the data have.
        """
        super().__init__()
        for density in settings.densities:
            if density.points > data.points:
                raise ConfigError(f"{density} needs more than the {data.points} points of data.points")
        self.settings, self.autoencoder, self.data = settings, autoencoder, data
        for norm in self._norms():
            norm.momentum = 0.01  # statistics over a hundred batches, so over all densities

    @classmethod
    def for_data(
        cls, settings: PretrainSettings, network: BackboneSettings, data: ShapeDescription
    ) -> "MaskedAutoencoding":
        """Build the network of a preset."""
        config = preset(network.preset).backbone
        sizes = [density.group_size for density in settings.densities]
        decoder = Decoder(config.width, config.heads, settings.decoder_depth, config.position_hidden, sizes)
        return cls(settings, MaskedAutoencoder(Backbone(config), decoder), data)

    def _norms(self) -> list[nn.BatchNorm1d]:
        return [m for m in self.autoencoder.backbone.modules() if isinstance(m, nn.BatchNorm1d)]

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Settle the statistics towards the end."""
        moving = self.trainer.global_step < (1 - self.settings.settled_share) * self._steps()
        for norm in self._norms():
            norm.train(moving)

    def _steps(self) -> int:
        return int(self.trainer.estimated_stepping_batches)

    def _generator(self, *numbers: int) -> torch.Generator:
        """Random numbers that belong to the seed of the data and these numbers alone."""
        seed = self.data.seed
        for number in numbers:
            seed = (seed * 1_000_003 + number + 1) % 2**62
        return torch.Generator().manual_seed(seed)

    def _loss(self, points: Tensor, density: Density, generator: torch.Generator) -> Tensor:
        mask = random_mask(len(points), density.groups, self.settings.mask_share, generator)
        visible, masked = (index.to(points.device) for index in mask)
        loss: Tensor = self.autoencoder(thinned(points, density.points, generator), density, visible, masked)
        return loss

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Error at one of the densities, the same on every device."""
        step = self.global_step
        choice = int(torch.randint(len(self.settings.densities), (), generator=self._generator(step)).item())
        loss = self._loss(batch, self.settings.densities[choice], self._generator(step, self.global_rank))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Error at each density, with masks that stay the same."""
        losses = [self._loss(batch, density, self._generator(batch_idx, i)) for i, density in self._densities()]
        named = {f"val/loss_{d.points}_{d.groups}_{d.group_size}": losses[i] for i, d in self._densities()}
        self.log_dict(named, batch_size=len(batch), sync_dist=True)
        self.log("val/loss", torch.stack(losses).mean(), prog_bar=True, batch_size=len(batch), sync_dist=True)

    def _densities(self) -> list[tuple[int, Density]]:
        return list(enumerate(self.settings.densities))

    def configure_optimizers(self) -> Any:
        """AdamW with linear warm-up and cosine decay; no decay on vectors."""
        optimizer = adamw(self.autoencoder.named_parameters(), self.settings)
        return stepwise(optimizer, round(self.settings.warmup_share * self._steps()), self._steps())

    def save(self, folder: Path) -> Path:
        """Write the backbone bundle into a folder."""
        training = {
            **self.data.provenance,
            "objective": "masked autoencoding",
            "preset": preset_of(self.autoencoder.backbone.config),
            "steps": self.trainer.global_step,
            "torch": torch.__version__,
        }
        loss = self.trainer.callback_metrics.get("val/loss")
        if loss is not None and torch.isfinite(loss):
            training["validation_loss"] = round(float(loss), 4)
        origin = {"simulated": self.data.simulated}
        return save_backbone(folder, self.settings.name, self.autoencoder.backbone, training, origin)
