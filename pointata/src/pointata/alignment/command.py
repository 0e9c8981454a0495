"""`pointata align`: command line around stage 1 and its data."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from pointata.alignment.align import Align, AlignSettings, shape_features
from pointata.alignment.embedder_file import save_aligned
from pointata.errors import ConfigError
from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.paths import check_output_folder
from pointata.pretraining.shapes import load_shapes
from pointata.system.arguments import SEED, Whole
from pointata.system.memory import keep_freed_memory
from pointata.training.arguments import SettingsParser, wording
from pointata.training.cli import interruptible, quiet_lightning, trainer_errors_as_config_errors
from pointata.training.network import on_backbone
from pointata.training.video_clips import VideoClips

_log = logging.getLogger(__name__)

_DESCRIPTION = "Align the point align embedder with a labelled 3D set (stage 1); stage 2 takes the result as `aligned`."
_EXAMPLE = "pointata align --config config/train/sim_room_align.yaml"


def build_network(settings: AlignSettings, features: Sequence[str]) -> PointATA:
    """The network of stage 2, without heads: the embedder is the same.

    Raises:
        ConfigError: the backbone is not of the preset's size.
    """
    p = settings
    config = preset(p.preset, groups=p.groups, group_size=p.group_size, height=p.height, features=tuple(features))
    return on_backbone(p.backbone, config).eval()


def align(arguments: Sequence[str]) -> Path:
    """Align the point align embedder with a labelled 3D set (stage 1); returns the path of the result."""
    parser = SettingsParser(**wording("align", _DESCRIPTION, _EXAMPLE))
    parser.add_argument("--config", action="config", help="YAML file with the settings below")
    parser.add_argument("--source", type=str, default="sim:shapes", help="labelled 3D set: a folder or sim:shapes?...")
    parser.add_argument("--out", type=Path, default=Path("build/aligned"), help="folder for the result")
    parser.add_argument("--seed", type=SEED, default=0, help="of the shapes, the clips and what is drawn of them")
    parser.add_argument("--threads", type=Whole(0), default=0, help="CPU threads of torch; 0 for torch's choice")
    parser.add_argument("--accelerator", type=str, default="auto", help='Lightning\'s: "auto", "cpu", "gpu"')
    parser.add_class_arguments(AlignSettings, "settings")
    parser.add_class_arguments(VideoClips, "data")
    given = parser.instantiate(parser.parse_args(list(arguments)))
    settings: AlignSettings = given.settings
    data: VideoClips = given.data
    check_output_folder(given.out)
    if max(settings.groups, settings.group_size) > data.sampling.points:
        raise ConfigError(
            f"{settings.groups} groups of {settings.group_size} need as many points: "
            f"data.sampling.points is {data.sampling.points}"
        )
    keep_freed_memory()
    quiet_lightning()
    if given.threads:
        torch.set_num_threads(given.threads)
    lightning.seed_everything(given.seed)
    model = build_network(settings, data.features)
    shapes = load_shapes(given.source, data.sampling.points, given.seed)
    source = shape_features(model.backbone, torch.from_numpy(shapes.points), settings.groups, settings.group_size)
    data.setup("fit")
    clips, labels = data.clips(settings.samples_per_class, given.seed)
    module = Align(settings, model, source, torch.from_numpy(shapes.labels), clips, labels, given.seed)
    with trainer_errors_as_config_errors():
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator=given.accelerator,
            devices=1,
            logger=TensorBoardLogger(given.out, name=f"{settings.name}_align"),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stdout.isatty(),
            reload_dataloaders_every_n_epochs=1,  # each epoch draws its own clips
        )
    with interruptible("nothing was written"):
        trainer.fit(module)
    for name, value in module.after.items():
        _log.info("%s: %.4g before, %.4g after", name, module.before[name], value)
    path = Path(given.out) / f"{settings.name}_align.safetensors"
    save_aligned(
        path,
        model,
        {
            "backbone": Path(settings.backbone).stem,
            "method": settings.method,
            "settings": asdict(settings),
            "seed": given.seed,
            "before": module.before,
            "after": module.after,
            "history": module.history,
            "pseudo_labels": module.pseudo,
            "source": {"spec": given.source, "samples": len(source), "classes": list(shapes.classes)},
            "data": {**data.description, "clips": len(labels), "sampling": data.sampling.to_dict()},
            "torch": torch.__version__,
        },
    )
    _log.info("the aligned embedder is %s", path)
    return path
