"""The one grammar of all training commands: options, groups of settings, and what a process needs before it trains."""

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jsonargparse
import lightning
import torch

from pointata.paths import check_output_folder
from pointata.system.arguments import SEED, THREADS
from pointata.system.cores import torch_threads
from pointata.system.memory import keep_freed_memory
from pointata.training.arguments import SettingsParser, wording
from pointata.training.fit import trainer_errors_as_config_errors

#: The option of where torch computes.
ACCELERATOR: Mapping[str, Any] = {"type": str, "default": "auto", "help": 'Lightning\'s: "auto", "cpu", "gpu"'}
#: The help about Lightning's trainer; all of its other options are taken, too.
_TRAINER_HELP = {
    "max_epochs": "How often training goes over its data.",
    "check_val_every_n_epoch": "Epochs from one validation to the next.",
    "gradient_clip_val": "Limit of the gradient's norm.",
    "default_root_dir": "Folder of the checkpoints and of what is logged.",
    "devices": "How many devices, or which.",
    "log_every_n_steps": "Steps from one logged loss to the next.",
}


class TrainingCommand(ABC):
    """A command that trains: reads its settings, and writes a new file into the folder `--out`.

    The settings of what is done stand under `settings.`, those of the data under `data.`, those of Lightning's trainer
    under `trainer.`; what every command may be told has no prefix.
    """

    #: Of the subcommand.
    name: ClassVar[str]
    description: ClassVar[str]
    #: A command line that works, for the help.
    example: ClassVar[str]
    #: Folder of the result, unless `--out` names another; None for a command that writes nothing.
    out: ClassVar[Path | None]
    #: Dataclasses of settings by the names of their groups.
    groups: ClassVar[Mapping[str, type]]
    #: Options of this command alone, as `add_argument` takes them.
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: What the trainer does unless told otherwise; None for a command without Lightning's trainer.
    trainer_defaults: ClassVar[Mapping[str, Any] | None] = None

    @classmethod
    def parser(cls) -> SettingsParser:
        """What the command takes."""
        parser = SettingsParser(**wording(cls.name, cls.description, cls.example))
        parser.add_argument("--config", action="config", help="YAML file with any of what follows; may be repeated")
        if cls.out is not None:
            parser.add_argument("--out", type=Path, default=cls.out, help="folder for the result")
        parser.add_argument("--seed", type=SEED, default=0, help="of all that is random")
        parser.add_argument("--threads", **THREADS)
        for option, how in cls.options.items():
            parser.add_argument(option, **how)
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be done, and stop before anything is trained"
        )
        for name, settings in cls.groups.items():
            parser.add_class_arguments(settings, name)
        if cls.trainer_defaults is not None:
            cls._add_trainer(parser, cls.trainer_defaults)
        return parser

    @staticmethod
    def _add_trainer(parser: SettingsParser, defaults: Mapping[str, Any]) -> None:
        parser.add_argument("--accelerator", **ACCELERATOR)
        parser.add_argument(
            "--resume", type=str, default=None, help='checkpoint to continue from; "last" for the run\'s newest, if any'
        )
        parser.add_class_arguments(
            lightning.Trainer, "trainer", skip={"accelerator"}, fail_untyped=False, instantiate=False, sub_configs=True
        )
        own = {"num_sanity_val_steps": 0, "enable_model_summary": False, "enable_progress_bar": sys.stdout.isatty()}
        parser.set_defaults({f"trainer.{name}": value for name, value in {**own, **defaults}.items()})
        parser.show_only(
            "trainer", _TRAINER_HELP, "Lightning's trainer, which takes all options of lightning.Trainer, among them"
        )

    def __call__(self, arguments: Sequence[str]) -> Any:
        """Do what the arguments say."""
        parser = self.parser()
        given = parser.parse_args(list(arguments))
        keep_freed_memory()
        quiet_lightning()
        torch.set_num_threads(torch_threads(given.threads))
        lightning.seed_everything(given.seed, workers=True, verbose=False)
        given = parser.instantiate(given)
        if self.out is not None:
            check_output_folder(given.out)
        return self.run(given)

    @abstractmethod
    def run(self, given: jsonargparse.Namespace) -> Any:
        """Train, or with `given.dry_run` say what would be trained."""

    @staticmethod
    def trainer(given: jsonargparse.Namespace) -> lightning.Trainer:
        """Lightning's trainer as the arguments say; what this machine cannot do is a ConfigError."""
        settings = dict(given.trainer)
        callbacks = settings.pop("callbacks") or []
        callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
        with trainer_errors_as_config_errors():
            return lightning.Trainer(accelerator=given.accelerator, callbacks=callbacks, **settings)


def quiet_lightning() -> None:
    """Show no more of Lightning's log than warnings: its tips and its account of this machine are not the command's."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()  # they came while it was imported; the command's own log shows the warnings
        logger.setLevel(logging.WARNING)
