"""`pointata pretrain` and `pointata classify`: command lines around backbones and their check."""

import logging
from pathlib import Path
from typing import ClassVar

from jsonargparse import Namespace

from pointata.bundles.backbone import read_backbone
from pointata.pretraining.classify import STARTS, ClassifySettings, accuracy, train_classifier
from pointata.pretraining.masked import MaskedAutoencoding, PretrainSettings
from pointata.pretraining.shape_data import ShapeData, ShapeSettings
from pointata.pretraining.shapes import load_shapes
from pointata.training.command import TrainingCommand
from pointata.training.fit import fit
from pointata.training.network import BackboneSettings

_log = logging.getLogger(__name__)


class Pretrain(TrainingCommand):
    """`pointata pretrain`; the result is the path of the backbone bundle."""

    name = "pretrain"
    description = "Make a 3D backbone by masked autoencoding of shapes and frames."
    example = "pointata pretrain --config config/train/pretrain_tiny.yaml"
    out = Path("build/backbones")
    groups: ClassVar = {"settings": PretrainSettings, "network": BackboneSettings, "data": ShapeSettings}
    trainer_defaults: ClassVar = {"reload_dataloaders_every_n_epochs": 1}  # each epoch draws its own point sets

    def run(self, given: Namespace) -> Path | None:
        """Train and write the backbone bundle."""
        trainer = self.trainer(given)
        data = ShapeData(given.data, given.seed)
        module = MaskedAutoencoding.for_data(given.settings, given.network, data.description)
        if given.dry_run:
            data.setup("fit")
            _log.info(
                "%s parameters would be trained, %d epochs of %s point sets drawn from %s",
                f"{sum(p.numel() for p in module.parameters()):,}", trainer.max_epochs or 1,
                f"{given.data.draws_per_epoch:,}", given.data.source,
            )  # fmt: skip
            return None
        fit(trainer, module, data, given.resume)
        path = module.save(given.out)
        _log.info("the backbone is %s", path)
        return path


class Classify(TrainingCommand):
    """`pointata classify`; the result is the accuracy of each start."""

    name = "classify"
    description = (
        "Check a backbone: accuracy on labelled shapes of a linear probe, fine-tuned, and trained from random weights."
    )
    example = "pointata classify --backbone pointmae_tiny --source sim:shapes"
    out = None
    groups: ClassVar = {"settings": ClassifySettings}
    options: ClassVar = {
        "--backbone": {"type": str, "required": True, "help": "backbone bundle: a path or a name"},
        "--source": {"type": str, "default": "sim:shapes", "help": "labelled shapes: a folder or sim:shapes?..."},
    }

    def run(self, given: Namespace) -> dict[str, float]:
        """Train a classifier from each start and measure it."""
        backbone = read_backbone(given.backbone)
        density = given.settings.density
        train, test = (load_shapes(given.source, density.points, given.seed, split) for split in ("train", "test"))
        if given.dry_run:
            _log.info("%d shapes to train on, %d to test: %s, each", len(train), len(test), ", ".join(STARTS))
            return {}
        result: dict[str, float] = {}
        for start in STARTS:
            model = train_classifier(train, start, backbone.config, backbone, given.settings, given.seed)
            result[start] = accuracy(model, test, density)
            _log.info("%s: %.3f of %d test shapes", start, result[start], len(test))
        return result


pretrain = Pretrain()
classify = Classify()
