"""What every training command has in common: Lightning's command line, checkpoints, and going on after a stop."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from pointata.errors import ConfigError
from pointata.paths import check_output_folder
from pointata.system.arguments import SEED, Whole
from pointata.system.memory import keep_freed_memory
from pointata.training.arguments import TrainingParser
from pointata.training.video_clips import VideoClips

_log = logging.getLogger(__name__)

_ANEW = "give the settings that it was made with, or train without --resume in another trainer.default_root_dir"


@contextmanager
def trainer_errors_as_config_errors() -> Iterator[None]:
    """What Lightning says of devices and strategies that this machine does not have becomes a ConfigError."""
    try:
        yield
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(f"the trainer cannot run like this: {error}") from error


def quiet_lightning() -> None:
    """Show no more of Lightning's log than warnings: its tips and its account of this machine are not the command's."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()  # they came while it was imported; the command's own log shows the warnings
        logger.setLevel(logging.WARNING)


class TrainingCLI(LightningCLI):
    """LightningCLI with this project's options and defaults; it only parses and builds, `fit` trains."""

    def __init__(
        self,
        model: type[lightning.LightningModule],
        data: type[lightning.LightningDataModule],
        arguments: Sequence[str],
        words: dict[str, Any],
        **trainer_defaults: Any,
    ) -> None:
        keep_freed_memory()
        quiet_lightning()
        super().__init__(
            model,
            data,
            args=list(arguments),
            run=False,
            parser_class=TrainingParser,
            parser_kwargs=words,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            save_config_callback=None,
            trainer_defaults={
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "enable_progress_bar": sys.stdout.isatty(),
                **trainer_defaults,
            },
        )
        if self.config.threads:
            torch.set_num_threads(self.config.threads)

    def instantiate_trainer(self, **kwargs: Any) -> lightning.Trainer:
        """As Lightning's; what this machine cannot do is a ConfigError."""
        with trainer_errors_as_config_errors():
            return super().instantiate_trainer(**kwargs)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The seed."""
        parser.add_argument("--seed_everything", type=SEED, default=0, help="seed of all that is random")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options besides those of model, data and trainer."""
        parser.add_argument("--out", type=Path, default=Path("build/bundles"), help="folder for the resulting bundle")
        parser.add_argument(
            "--resume", type=str, default=None, help='checkpoint to continue from; "last" for the run\'s newest, if any'
        )
        parser.add_argument("--threads", type=Whole(0), default=0, help="CPU threads of torch; 0 for torch's choice")
        parser.link_arguments("seed_everything", "data.seed")


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it: a kill while it is written leaves the one before whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint; arguments as Lightning's."""
        temporary = Path(f"{path}.partial")
        super().save_checkpoint(checkpoint, temporary, storage_options)
        temporary.replace(path)


def fit(cli: TrainingCLI, *callbacks: lightning.Callback) -> None:
    """Train, with a checkpoint after every epoch that `--resume last` goes on from; the network is built already.

    Raises:
        ConfigError: the checkpoint to resume from does not exist, is damaged, or is that of another network.
    """
    trainer: Any = cli.trainer
    folder = Path(trainer.default_root_dir) / "checkpoints"
    check_output_folder(folder)
    trainer.callbacks.extend(callbacks)
    if trainer.checkpoint_callbacks:
        trainer.callbacks = [c for c in trainer.callbacks if not _is_default(c)]
        newest = ModelCheckpoint(
            folder, filename="last", enable_version_counter=False, every_n_epochs=1, save_on_train_epoch_end=True
        )
        trainer.callbacks.append(newest)
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeFiles()
    checkpoint = _checkpoint(cli.config.resume, folder)
    if checkpoint is not None:
        epochs = _check(checkpoint, cli.model)
        if isinstance(cli.datamodule, VideoClips):
            cli.datamodule.first_epoch = epochs
    with interruptible("pointata goes on from its newest checkpoint with --resume last"):
        trainer.fit(cli.model, cli.datamodule, ckpt_path=checkpoint)


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """Ctrl-C, which Lightning answers with an exit of its own, is a KeyboardInterrupt again, with advice."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt(advice) from None
        raise


def _is_default(callback: lightning.Callback) -> bool:
    """Whether this is the checkpoint callback that Lightning adds by itself."""
    if type(callback) is not ModelCheckpoint:
        return False
    return (callback.dirpath, callback.filename, callback.monitor, callback.save_top_k) == (None, None, None, 1)


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


def _check(path: str, model: lightning.LightningModule) -> int:
    """Epochs behind a checkpoint; refuses one that is damaged, or that the network, as it is trained, cannot use."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state: Mapping[str, torch.Tensor] = content["state_dict"]
        trained = sum(len(group["params"]) for group in content["optimizer_states"][0]["param_groups"])
        epochs = int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except Exception as error:  # damaged bytes lead zip, pickle and tensor readers to errors of any kind
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"checkpoint {path} cannot be read ({reason}): start again without --resume, or from another one"
        ) from error
    mine = {name: value.shape for name, value in model.state_dict().items()}
    theirs = {name: value.shape for name, value in state.items()}
    wrong = sorted(name for name in set(mine) | set(theirs) if mine.get(name) != theirs.get(name))
    if wrong:
        raise ConfigError(f"checkpoint {path} is that of another network (they differ in {wrong[0]}): {_ANEW}")
    if trained != sum(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"checkpoint {path} is that of a run that trained other parameters: {_ANEW}")
    return epochs
