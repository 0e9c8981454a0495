"""Training by Lightning's trainer: checkpoints, and going on after a stop."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint

from pointata.errors import ConfigError
from pointata.paths import check_output_folder

_log = logging.getLogger(__name__)

_ANEW = "give the settings that it was made with, or train without --resume in another trainer.default_root_dir"


class ResumableData(lightning.LightningDataModule):
    """Data of a training that may go on from a checkpoint.

    Lightning makes the loader of a resumed run's first epoch before it restores the number of that epoch, so `fit`
    states it in `first_epoch`.
    """

    first_epoch: int = 0


@contextmanager
def trainer_errors_as_config_errors() -> Iterator[None]:
    """Lightning's complaints about devices and strategies that this machine lacks become a ConfigError."""
    try:
        yield
    except (MisconfigurationException, ModuleNotFoundError, ValueError) as error:  # the second: tpu without torch_xla
        raise ConfigError(f"the trainer cannot run like this: {error}") from error


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it: a kill while it is written leaves the one before whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save a checkpoint; arguments as Lightning's."""
        temporary = Path(f"{path}.partial")
        super().save_checkpoint(checkpoint, temporary, storage_options)
        temporary.replace(path)


def fit(
    trainer: lightning.Trainer,
    module: lightning.LightningModule,
    data: ResumableData,
    resume: str | None = None,
    *callbacks: lightning.Callback,
) -> None:
    """Train, with a checkpoint after every epoch that `--resume last` goes on from.

    Args:
        trainer: Lightning's; its callbacks are completed.
        module: what is trained.
        data: on which.
        resume: checkpoint to go on from, "last" for the run's newest, if there is any.
        callbacks: besides the trainer's.

    Raises:
        ConfigError: the checkpoint to resume from does not exist, is damaged, or is that of another network.
    """
    folder = Path(trainer.default_root_dir) / "checkpoints"
    check_output_folder(folder)
    _complete(trainer, folder, callbacks)
    checkpoint = _checkpoint(resume, folder)
    if checkpoint is not None:
        data.first_epoch = _check(checkpoint, module)
    with interruptible("pointata goes on from its newest checkpoint with --resume last"):
        trainer.fit(module, data, ckpt_path=checkpoint)


def _complete(given: lightning.Trainer, folder: Path, callbacks: tuple[lightning.Callback, ...]) -> None:
    """Give a trainer further callbacks; its own checkpoint callback makes way for one that keeps the newest epoch."""
    trainer: Any = given  # Lightning states the types of none of these
    trainer.callbacks.extend(callbacks)
    if trainer.checkpoint_callbacks:
        trainer.callbacks = [c for c in trainer.callbacks if not _is_default(c)]
        newest = ModelCheckpoint(
            folder, filename="last", enable_version_counter=False, every_n_epochs=1, save_on_train_epoch_end=True
        )
        trainer.callbacks.append(newest)
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = WholeFiles()


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
