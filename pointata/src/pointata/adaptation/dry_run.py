"""What a training run would do and cost, without doing it, and which settings would suit its data."""

import logging
import time
from dataclasses import dataclass

import lightning
import torch

from pointata.adaptation.adapt import Adaptation
from pointata.adaptation.suggestion import FEWEST_POINTS, as_yaml, suggest
from pointata.adaptation.survey import Survey, survey
from pointata.preprocessing.picking import TOLERANCE
from pointata.training.clips import ClipBatch
from pointata.training.run_log import peak_memory_mib
from pointata.training.video_clips import VideoClips

_log = logging.getLogger(__name__)

#: Training steps that are timed, after one that is not.
TIMED_STEPS = 2
#: A channel whose values exceed this is far from the network's own numbers, which are about 1.
LARGE_CHANNEL = 10.0


@dataclass(frozen=True)
class Plan:
    """How often a run goes over its data: epochs, and epochs from one validation to the next."""

    epochs: int
    validate_every: int

    @classmethod
    def of(cls, trainer: lightning.Trainer) -> "Plan":
        """As a trainer would do it; one without limit counts as one epoch."""
        return cls(max(trainer.max_epochs or 1, 1), max(trainer.check_val_every_n_epoch or 1, 1))


def describe(module: Adaptation, data: VideoClips, plan: Plan) -> str:
    """Log a built network's parameters and the trained share, the data, time and memory of the training, which settings
    contradict the data. A few steps are run here, on the CPU.

    Returns:
        settings that would suit the data, as the text of a configuration.

    Raises:
        ConfigError, DataError, BundleError: what would also stop the training.
    """
    data.setup("fit")
    module.train()
    _say_size(module, data)
    _say_cost(module, data, plan)
    found = survey(data.train_videos)
    for sentence in contradictions(data, found):
        _log.warning("%s", sentence)
    _log.info(
        "settings that would suit these data, to begin with, go to standard output: add `> suggested.yaml` to this "
        "command, and `--config suggested.yaml` after the other --config of the next"
    )
    return as_yaml(suggest(data, found))


def contradictions(data: VideoClips, found: Survey) -> list[str]:
    """A sentence for each setting that does not fit what the frames hold."""
    sentences = []
    points = data.settings.sampling.points
    if points > max(2 * found.most_points, FEWEST_POINTS):
        sentences.append(
            f"data.sampling.points asks for {points:,} points of frames that hold {found.points:,} (median; 95 % hold "
            f"at most {found.most_points:,}): points are repeated, which costs time and adds nothing"
        )
    period_s = data.description.frame_period_s
    if abs(found.period_s - period_s) > TOLERANCE * period_s:
        sentences.append(
            f"the frames come every {found.period_s:.3g} s, the data set says every {period_s:.3g} s: the "
            "node will pick clouds by what the data set says"
        )
    sentences += [
        f"the channel {name} reaches {found.channels[name]:.3g}; channels enter the network as they are: divide it "
        "in the recordings, and on the robot, so that it stays about 1"
        for name in data.description.features
        if found.channels[name] > LARGE_CHANNEL
    ]
    return sentences


def _say_size(module: Adaptation, data: VideoClips) -> None:
    trained, total = module.parameter_counts()
    _log.info("%s of %s parameters are trained (%.1f %%)", f"{trained:,}", f"{total:,}", 100 * trained / total)
    for task, classes in data.description.heads.items():
        _log.info("task %s: %d classes", task, len(classes))
    frames = sum(len(recording.stamps) for recording in data.train_recordings)
    held_out = sum(len(recording.stamps) for recording in data.validation_recordings)
    _log.info(
        "training: %d recordings, %d frames; validation: %d recordings, %d frames",
        len(data.train_recordings), frames, len(data.validation_recordings), held_out,
    )  # fmt: skip


def _say_cost(module: Adaptation, data: VideoClips, plan: Plan) -> None:
    before = peak_memory_mib()
    loader = data.train_dataloader()
    batch = next(iter(loader))
    module.weigh_classes()
    step_s = _time_steps(module, batch)
    _log.info(
        "one training step on the CPU, %s clips of %s frames, %s: %.2f s, %.0f MiB at the peak, %.0f MiB its own",
        *batch.actions.shape, _threads(torch.get_num_threads()), step_s, peak_memory_mib(), peak_memory_mib() - before,
    )  # fmt: skip
    validation = data.val_dataloader()
    start = time.perf_counter()
    with torch.no_grad():
        module.losses(next(iter(validation)))
    validation_s = (time.perf_counter() - start) * len(validation) * (plan.epochs // plan.validate_every)
    steps = plan.epochs * len(loader)
    _log.info(
        "on this CPU the training takes about %s: %d epochs of %d steps, and %s of it for validation",
        _duration(steps * step_s + validation_s), plan.epochs, len(loader), _duration(validation_s),
    )  # fmt: skip


def _time_steps(module: Adaptation, batch: ClipBatch) -> float:
    """Seconds of a training step."""
    optimizer = torch.optim.AdamW(parameter for parameter in module.parameters() if parameter.requires_grad)
    start = 0.0
    for number in range(1 + TIMED_STEPS):
        if number == 1:
            start = time.perf_counter()
        losses, _ = module.losses(batch)
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        optimizer.step()
    return (time.perf_counter() - start) / TIMED_STEPS


def _threads(count: int) -> str:
    return f"{count} threads (--threads)" if count > 1 else "1 thread (--threads)"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
