"""`pointata adapt` and `pointata frame-heads`: command lines around training and its data."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from pointata.memory import keep_freed_memory
from pointata.transfer.adapt import Adapt
from pointata.transfer.frame_heads import FrameHeadSettings, train_frame_heads
from pointata.transfer.simulated import SimulatedClips


class _AdaptCLI(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--out", type=Path, default=Path("build/bundles"), help="folder for the trained bundle")
        parser.add_argument("--resume", type=str, default=None, help="checkpoint to continue from")
        parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch; 0 for torch's choice")


def frame_heads(arguments: Sequence[str]) -> None:
    """Train action and segments heads on cached features; the data are set as for `adapt`."""
    parser = ArgumentParser(prog="pointata frame-heads", description=frame_heads.__doc__)
    parser.add_argument("--config", action="config", help="YAML file with the settings below")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_class_arguments(FrameHeadSettings, "heads")
    parser.add_class_arguments(SimulatedClips, "data")
    settings = parser.instantiate_classes(parser.parse_args(list(arguments)))
    keep_freed_memory()
    settings.data.setup("fit")
    train_frame_heads(
        settings.heads, settings.data.train_recordings, settings.data.validation_recordings, settings.seed
    )


def adapt(arguments: Sequence[str]) -> Path:
    """Train as the arguments say and write the bundle; returns its path."""
    keep_freed_memory()
    cli = _AdaptCLI(
        Adapt, SimulatedClips, args=list(arguments), run=False, seed_everything_default=0, save_config_callback=None
    )
    if cli.config.threads:
        torch.set_num_threads(cli.config.threads)
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config.resume)
    path: Path = cli.model.save(cli.config.out)
    return path
