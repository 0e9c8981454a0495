"""`pointata pretrain` and `pointata classify`: command lines around backbones and their check."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.cli import LightningArgumentParser

from pointata.bundles.backbone import read_backbone
from pointata.paths import check_output_folder
from pointata.pretraining.classify import STARTS, ClassifySettings, accuracy, train_classifier
from pointata.pretraining.masked import Pretrain
from pointata.pretraining.shape_data import ShapeData
from pointata.pretraining.shapes import load_shapes
from pointata.system.arguments import SEED, Whole
from pointata.system.memory import keep_freed_memory
from pointata.training.arguments import SettingsParser, wording
from pointata.training.cli import TrainingCLI, fit

_log = logging.getLogger(__name__)

_PRETRAIN = "pointata pretrain --config config/train/pretrain_tiny.yaml"
_CLASSIFY = "pointata classify --backbone pointmae_tiny --source sim:shapes"


def pretrain(arguments: Sequence[str]) -> Path:
    """Train as the arguments say and write the backbone bundle; returns its path."""
    # each epoch draws its own point sets
    words = wording("pretrain", "Make a 3D backbone by masked autoencoding of shapes and frames.", _PRETRAIN)
    cli = _PretrainCLI(Pretrain, ShapeData, arguments, words, reload_dataloaders_every_n_epochs=1)
    check_output_folder(cli.config.out)
    fit(cli)
    path: Path = cli.model.save(cli.config.out)
    _log.info("the backbone is %s", path)
    return path


class _PretrainCLI(TrainingCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.set_defaults(out=Path("build/backbones"))


def classify(arguments: Sequence[str]) -> dict[str, float]:
    """Check a backbone: accuracy on labelled shapes of a linear probe, fine-tuned, and trained from random weights."""
    parser = SettingsParser(**wording("classify", str(classify.__doc__), _CLASSIFY))
    parser.add_argument("--config", action="config", help="YAML file with the settings below")
    parser.add_argument("--backbone", type=str, required=True, help="backbone bundle: a path or a name")
    parser.add_argument("--source", type=str, default="sim:shapes", help="labelled shapes: a folder or sim:shapes?...")
    parser.add_argument("--seed", type=SEED, default=0, help="of the shapes, the weights and the batches")
    parser.add_argument("--threads", type=Whole(0), default=0, help="CPU threads of torch; 0 for torch's choice")
    parser.add_class_arguments(ClassifySettings, "settings")
    given = parser.instantiate(parser.parse_args(list(arguments)))
    keep_freed_memory()
    if given.threads:
        torch.set_num_threads(given.threads)
    backbone = read_backbone(given.backbone)
    density = given.settings.density
    train, test = (load_shapes(given.source, density.points, given.seed, split) for split in ("train", "test"))
    result: dict[str, float] = {}
    for start in STARTS:
        model = train_classifier(train, start, backbone.config, backbone, given.settings, given.seed)
        result[start] = accuracy(model, test, density)
        _log.info("%s: %.3f of %d test shapes", start, result[start], len(test))
    return result
