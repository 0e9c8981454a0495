"""What a training run would do and cost, without doing it."""

import logging

import torch

from pointata.transfer.adapt import Adapt
from pointata.transfer.ledger import peak_memory_mib
from pointata.transfer.videos import VideoClips

_log = logging.getLogger(__name__)


def describe(module: Adapt, data: VideoClips) -> None:
    """Log a built network's parameters and the trained share, the data, and the memory of one training step, run here.

    Raises:
        ConfigError, DataError, BundleError: what would also stop the training.
    """
    data.setup("fit")
    module.train()
    trained, total = module.parameter_counts()
    _log.info("%s of %s parameters are trained (%.1f %%)", f"{trained:,}", f"{total:,}", 100 * trained / total)
    for task, classes in data.heads.items():
        _log.info("task %s: %d classes", task, len(classes))
    frames = sum(len(recording.stamps) for recording in data.train_recordings)
    held_out = sum(len(recording.stamps) for recording in data.validation_recordings)
    _log.info(
        "training: %d recordings, %d frames; validation: %d recordings, %d frames",
        len(data.train_recordings), frames, len(data.validation_recordings), held_out,
    )  # fmt: skip
    before = peak_memory_mib()
    batch = next(iter(data.train_dataloader()))
    module.weigh_classes(data)
    losses, _ = module.losses(batch)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    torch.optim.AdamW(parameter for parameter in module.parameters() if parameter.requires_grad).step()
    _log.info(
        "one training step on the CPU, %s clips of %s frames: %.0f MiB at the peak, %.0f MiB of it for the step",
        *batch.actions.shape, peak_memory_mib(), peak_memory_mib() - before,
    )  # fmt: skip
