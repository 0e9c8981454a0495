"""What every training command has in common: Lightning's command line, checkpoints, and going on after a stop."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from pointata.errors import ConfigError
from pointata.memory import keep_freed_memory

_log = logging.getLogger(__name__)


class TrainingCLI(LightningCLI):
    """LightningCLI with this project's options and defaults; it only parses and builds, `fit` trains."""

    def __init__(
        self,
        model: type[lightning.LightningModule],
        data: type[lightning.LightningDataModule],
        arguments: Sequence[str],
    ) -> None:
        keep_freed_memory()
        warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # the command's name is no argument of it
        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).handlers.clear()  # the command's own log shows their messages
        super().__init__(
            model,
            data,
            args=list(arguments),
            run=False,
            seed_everything_default=0,
            save_config_callback=None,
            # the samplers here share the clips out among processes themselves
            trainer_defaults={"use_distributed_sampler": False, "num_sanity_val_steps": 0},
        )
        if self.config.threads:
            torch.set_num_threads(self.config.threads)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options besides those of model, data and trainer."""
        parser.add_argument("--out", type=Path, default=Path("build/bundles"), help="folder for what is made")
        parser.add_argument(
            "--resume", type=str, default=None, help='checkpoint to continue from; "last" for the run\'s newest, if any'
        )
        parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0 for torch's choice")
        parser.add_argument(
            "--dry_run", action="store_true", help="say what would be trained and what it costs, then stop"
        )


def fit(cli: TrainingCLI, *callbacks: lightning.Callback) -> None:
    """Train, with a checkpoint after every epoch that `--resume last` goes on from.

    Raises:
        ConfigError: the checkpoint to resume from does not exist.
    """
    trainer: Any = cli.trainer
    folder = Path(trainer.default_root_dir) / "checkpoints"
    trainer.callbacks.extend(callbacks)
    if trainer.checkpoint_callbacks:
        trainer.callbacks = [c for c in trainer.callbacks if type(c) is not ModelCheckpoint]
        newest = ModelCheckpoint(
            folder, filename="last", enable_version_counter=False, every_n_epochs=1, save_on_train_epoch_end=True
        )
        trainer.callbacks.append(newest)
    trainer.fit(cli.model, cli.datamodule, ckpt_path=_checkpoint(cli.config.resume, folder))


def _checkpoint(wanted: str | None, folder: Path) -> str | None:
    """Path of the checkpoint to go on from."""
    if wanted is None:
        return None
    path = folder / "last.ckpt" if wanted == "last" else Path(wanted)
    if path.is_file():
        return str(path)
    if wanted == "last":
        _log.info("no checkpoint in %s: starting from the beginning", folder)
        return None
    raise ConfigError(f'there is no checkpoint {path}; give "last" or the path of a .ckpt file')
