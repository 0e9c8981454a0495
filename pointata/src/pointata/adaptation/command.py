"""`pointata adapt` and `pointata frame-heads`: command lines around training and its data."""

import logging
import sys
from pathlib import Path
from typing import ClassVar

from jsonargparse import Namespace

from pointata.adaptation.adapt import Adaptation
from pointata.adaptation.dry_run import Plan, describe
from pointata.adaptation.frame_heads import train_frame_heads
from pointata.adaptation.heads_bundle import FrameHeadSettings, bundle_to_train
from pointata.adaptation.settings import AdaptSettings
from pointata.training.command import TrainingCommand
from pointata.training.fit import fit
from pointata.training.network import NetworkSettings
from pointata.training.run_log import Ledger
from pointata.training.video_clips import DataSettings, VideoClips

_log = logging.getLogger(__name__)


class Adapt(TrainingCommand):
    """`pointata adapt`; the result is the bundle's path, None for a dry run."""

    name = "adapt"
    description = "Train a bundle of point videos: adapters and heads on a backbone (stage 2)."
    example = "pointata adapt --config config/train/own_recordings.yaml --data.set recordings:PATH"
    out = Path("build/bundles")
    groups: ClassVar = {"settings": AdaptSettings, "network": NetworkSettings, "data": DataSettings}
    trainer_defaults: ClassVar = {"use_distributed_sampler": False}  # clips are shared out among processes already

    def run(self, given: Namespace) -> Path | None:
        """Train and write the bundle and the figures of its epochs."""
        trainer = self.trainer(given)
        data = VideoClips(given.data, given.seed)
        adaptation = Adaptation.for_data(given.settings, given.network, data.description)
        adaptation.check_bundle_output(given.out)
        if given.dry_run:
            sys.stdout.write(describe(adaptation, data, Plan.of(trainer)))
            return None
        trained, total = adaptation.parameter_counts()
        _log.info("%s of %s parameters are trained", f"{trained:,}", f"{total:,}")
        ledger = Ledger()
        fit(trainer, adaptation, data, given.resume, ledger)
        if not trainer.is_global_zero:
            return None
        path = adaptation.save(given.out)
        ledger.save(
            path.with_suffix(".json"),
            name=path.stem,
            trained_parameters=trained,
            total_parameters=total,
            clip_confusion=adaptation.clip_confusion,
        )
        _log.info("the bundle is %s, the figures of its epochs are beside it", path)
        return path


class FrameHeads(TrainingCommand):
    """`pointata frame-heads`; the result are the accuracies of validation, none for a dry run."""

    name = "frame-heads"
    description = (
        "Train a bundle's action and segments heads further, on features computed once; makes a new bundle. The data "
        "are set as for `adapt`."
    )
    example = "pointata frame-heads --config config/train/sim_room_heads.yaml"
    out = Path("build/bundles")
    groups: ClassVar = {"settings": FrameHeadSettings, "data": DataSettings}

    def run(self, given: Namespace) -> dict[str, float]:
        """Train and write a new bundle."""
        data = VideoClips(given.data, given.seed)
        if not given.dry_run:
            return train_frame_heads(given.settings, data, given.out)
        bundle_to_train(given.settings, data.description, given.out)
        _log.info(
            "%d steps of %d recordings, from %d views of each of %d recordings, would be trained",
            given.settings.steps, given.settings.batch, given.settings.views, len(data.train_videos),
        )  # fmt: skip
        return {}


adapt = Adapt()
frame_heads = FrameHeads()
