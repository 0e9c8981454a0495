"""`pointata align`: command line around stage 1 and its data."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import lightning
import torch
from jsonargparse import Namespace
from lightning.pytorch.loggers import TensorBoardLogger

from pointata.alignment.align import Align, AlignSettings, shape_features
from pointata.alignment.clips import recorded_clips
from pointata.alignment.embedder_file import save_aligned
from pointata.bundles.backbone import read_backbone
from pointata.errors import ConfigError
from pointata.model.pointata import PointATA
from pointata.pretraining.shapes import load_shapes
from pointata.training.command import ACCELERATOR, TrainingCommand
from pointata.training.fit import interruptible, trainer_errors_as_config_errors
from pointata.training.network import NetworkSettings
from pointata.training.video_clips import DataSettings, VideoClips

_log = logging.getLogger(__name__)


def build_network(backbone: str, network: NetworkSettings, features: Sequence[str]) -> PointATA:
    """The network of stage 2, without heads, on a backbone given by name or path: the embedder is the same."""
    trunk = read_backbone(backbone)
    return PointATA(network.config(trunk, features=tuple(features)), trunk).eval()


class AlignCommand(TrainingCommand):
    """`pointata align`; the result is the path of the aligned embedder."""

    name = "align"
    description = (
        "Align the point align embedder with a labelled 3D set (stage 1); stage 2 takes the result as `aligned`."
    )
    example = "pointata align --config config/train/sim_room_align.yaml"
    out = Path("build/aligned")
    groups: ClassVar = {"settings": AlignSettings, "network": NetworkSettings, "data": DataSettings}
    options: ClassVar = {
        "--source": {"type": str, "default": "sim:shapes", "help": "labelled 3D set: a folder or sim:shapes?..."},
        "--accelerator": ACCELERATOR,
    }

    def run(self, given: Namespace) -> Path | None:
        """Align, and write the embedder."""
        settings: AlignSettings = given.settings
        data = VideoClips(given.data, given.seed)
        points = given.data.sampling.points
        model = build_network(settings.backbone, given.network, data.description.features)
        groups, group_size = model.config.groups, model.config.group_size
        if max(groups, group_size) > points:
            raise ConfigError(f"{groups} groups of {group_size} need as many points: data.sampling.points is {points}")
        shapes = load_shapes(given.source, points, given.seed)
        source = shape_features(model.backbone, torch.from_numpy(shapes.points), groups, group_size)
        data.setup("fit")
        clips, labels = recorded_clips(data, settings.samples_per_class, given.seed)
        module = Align(settings, model, source, torch.from_numpy(shapes.labels), clips, labels, given.seed)
        if given.dry_run:
            _log.info("%d samples of %s and %d clips would be aligned", len(source), given.source, len(labels))
            return None
        trainer = _trainer(given)
        with interruptible("nothing was written"):
            trainer.fit(module)
        for name, value in module.after.items():
            _log.info("%s: %.4g before, %.4g after", name, module.before[name], value)
        path = Path(given.out) / f"{settings.name}_align.safetensors"
        of_source = {"spec": given.source, "samples": len(source), "classes": list(shapes.classes)}
        save_aligned(path, model, _account(module, data, given.seed) | {"source": of_source})
        _log.info("the aligned embedder is %s", path)
        return path


def _trainer(given: Namespace) -> lightning.Trainer:
    with trainer_errors_as_config_errors():
        return lightning.Trainer(
            max_epochs=given.settings.epochs,
            accelerator=given.accelerator,
            devices=1,
            logger=TensorBoardLogger(given.out, name=f"{given.settings.name}_align"),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stdout.isatty(),
            reload_dataloaders_every_n_epochs=1,  # each epoch draws its own clips
        )


def _account(module: Align, data: VideoClips, seed: int) -> dict[str, Any]:
    """How the embedder was made, for its file."""
    described, clips = data.description, len(module.labels)
    return {
        "backbone": Path(module.settings.backbone).stem,
        "method": module.settings.method,
        "settings": asdict(module.settings),
        "seed": seed,
        "before": module.before,
        "after": module.after,
        "history": module.history,
        "pseudo_labels": module.pseudo,
        "data": {**described.provenance, "clips": clips, "sampling": described.sampling.to_dict()},
        "torch": torch.__version__,
    }


align = AlignCommand()
