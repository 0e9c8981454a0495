"""`pointata adapt` and `pointata frame-heads`: command lines around training and its data."""

import logging
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from pointata.adaptation.adapt import Adapt
from pointata.adaptation.dry_run import Plan, describe
from pointata.adaptation.frame_heads import FrameHeadSettings, train_frame_heads
from pointata.system.arguments import SEED
from pointata.system.memory import keep_freed_memory
from pointata.training.arguments import SettingsParser, wording
from pointata.training.cli import TrainingCLI, fit
from pointata.training.run_log import Ledger
from pointata.training.video_clips import VideoClips

_log = logging.getLogger(__name__)

_ADAPT = "pointata adapt --config config/train/own_recordings.yaml --data.set recordings:PATH"
_FRAME_HEADS = "pointata frame-heads --config config/train/sim_room_heads.yaml"


def frame_heads(arguments: Sequence[str]) -> None:
    """Train action and segments heads on cached features; the data are set as for `adapt`."""
    parser = SettingsParser(**wording("frame-heads", str(frame_heads.__doc__), _FRAME_HEADS))
    parser.add_argument("--config", action="config", help="YAML file with the settings below")
    parser.add_argument("--seed", type=SEED, default=0, help="of the views, the batches, the noise and the dropout")
    parser.add_class_arguments(FrameHeadSettings, "heads")
    parser.add_class_arguments(VideoClips, "data")
    settings = parser.instantiate(parser.parse_args(list(arguments)))
    keep_freed_memory()
    train_frame_heads(settings.heads, settings.data, settings.seed)


class _AdaptCLI(TrainingCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--dry_run",
            action="store_true",
            help="say what would be trained, what it costs, and which settings suit the data, then stop",
        )


def adapt(arguments: Sequence[str]) -> Path | None:
    """Train as the arguments say and write the bundle and its ledger; returns the bundle's path, None for a dry run."""
    # the samplers share the clips out among processes themselves
    words = wording("adapt", "Train a bundle of point videos: adapters and heads on a backbone (stage 2).", _ADAPT)
    cli = _AdaptCLI(Adapt, VideoClips, arguments, words, use_distributed_sampler=False)
    cli.model.build(cli.datamodule)
    if cli.config.dry_run:
        describe(cli.model, cli.datamodule, Plan.of(cli.trainer))
        return None
    cli.model.check_bundle_output(cli.config.out, cli.datamodule)
    trained, total = cli.model.parameter_counts()
    _log.info("%s of %s parameters are trained", f"{trained:,}", f"{total:,}")
    ledger = Ledger()
    fit(cli, ledger)
    if not cli.trainer.is_global_zero:
        return None
    path: Path = cli.model.save(cli.config.out)
    ledger.save(
        path.with_suffix(".json"),
        name=path.stem,
        trained_parameters=trained,
        total_parameters=total,
        clip_confusion=cli.model.clip_confusion,
    )
    _log.info("the bundle is %s, the figures of its epochs are beside it", path)
    return path
