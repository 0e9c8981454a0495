"""`pointata pretrain`: the command line around pre-training and its data."""

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from pointata.memory import keep_freed_memory
from pointata.pretraining.masked import Pretrain
from pointata.pretraining.shape_data import ShapeData


class _PretrainCLI(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--out", type=Path, default=Path("build/backbones"), help="folder for the backbone bundle")
        parser.add_argument("--resume", type=str, default=None, help="checkpoint to continue from")
        parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0 for torch's choice")


def pretrain(arguments: Sequence[str]) -> Path:
    """Train as the arguments say and write the backbone bundle; returns its path."""
    keep_freed_memory()
    cli = _PretrainCLI(
        Pretrain,
        ShapeData,
        args=list(arguments),
        run=False,
        seed_everything_default=0,
        save_config_callback=None,
        trainer_defaults={"reload_dataloaders_every_n_epochs": 1},  # each epoch draws its own point sets
    )
    if cli.config.threads:
        torch.set_num_threads(cli.config.threads)
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config.resume)
    path: Path = cli.model.save(cli.config.out)
    return path
