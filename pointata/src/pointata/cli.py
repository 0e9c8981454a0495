"""The `pointata` command."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from pointata.errors import PointataError
from pointata.model.bundle import describe, shipped_bundles


def _info(arguments: Sequence[str]) -> None:
    """Print the metadata of bundles as YAML."""
    import yaml

    parser = argparse.ArgumentParser(prog="pointata info", description="Show what a bundle says of itself.")
    parser.add_argument("models", nargs="*", help="bundles: paths or shipped names; none for all shipped ones")
    for name in parser.parse_args(arguments).models or shipped_bundles():
        sys.stdout.write(yaml.safe_dump({name: describe(name)}, sort_keys=False))


#: Module and function of each command, imported when called: most need libraries that a robot does not have.
_COMMANDS = {
    "pretrain": ("pointata.pretraining.command", "pretrain", "make a 3D backbone by masked autoencoding of shapes"),
    "classify": ("pointata.pretraining.command", "classify", "check a backbone: classification of labelled shapes"),
    "import-point-mae": (
        "pointata.pretraining.command", "import_point_mae", "make a backbone of an official Point-MAE checkpoint"
    ),
    "align": ("pointata.transfer.align_command", "align", "stage 1: align the embedder by optimal transport"),
    "adapt": ("pointata.transfer.command", "adapt", "stage 2: train adapters and heads (or more) on point videos"),
    "frame-heads": (
        "pointata.transfer.command", "frame_heads", "train a bundle's action heads further, its trunk frozen"
    ),
    "evaluate": ("pointata.evaluation.command", "run", "measure a bundle on recordings or a data set"),
    "info": ("pointata.cli", "_info", "show what a bundle says of itself"),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    overview = "\n".join(f"  {name:18s}{text}" for name, (_, _, text) in _COMMANDS.items())
    if not given or given[0] not in _COMMANDS:
        stream = sys.stdout if given and given[0] in ("-h", "--help") else sys.stderr
        stream.write(f"usage: pointata COMMAND ... (COMMAND --help says more)\n{overview}\n")
        return 0 if stream is sys.stdout else 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        module, function, _ = _COMMANDS[given[0]]
        getattr(import_module(module), function)(given[1:])
        return 0
    except (PointataError, OSError) as error:
        sys.stderr.write(f"pointata {given[0]}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
