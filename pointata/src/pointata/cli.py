"""The `pointata` command."""

import argparse
import logging
import sys
from collections.abc import Sequence

from pointata.errors import PointataError
from pointata.model.bundle import read_metadata, shipped_bundles


def _adapt(arguments: Sequence[str]) -> int:
    from pointata.transfer.command import adapt

    adapt(arguments)
    return 0


def _frame_heads(arguments: Sequence[str]) -> int:
    from pointata.transfer.command import frame_heads

    frame_heads(arguments)
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    from pointata.evaluation.command import run

    run(arguments)
    return 0


def _info(arguments: Sequence[str]) -> int:
    import yaml

    parser = argparse.ArgumentParser(prog="pointata info", description="Show what a bundle says of itself.")
    parser.add_argument("models", nargs="*", help="bundles: paths or shipped names; none for all shipped ones")
    for name in parser.parse_args(arguments).models or shipped_bundles():
        sys.stdout.write(yaml.safe_dump({name: read_metadata(name).to_dict()}, sort_keys=False))
    return 0


_COMMANDS = {
    "adapt": (_adapt, "train adapters and heads (or the whole network) on point videos"),
    "frame-heads": (_frame_heads, "train a bundle's action heads further, on features of its frozen trunk"),
    "evaluate": (_evaluate, "measure a bundle on recordings"),
    "info": (_info, "show what a bundle says of itself"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    overview = "\n".join(f"  {name:12s}{text}" for name, (_, text) in _COMMANDS.items())
    if not given or given[0] not in _COMMANDS:
        stream = sys.stdout if given and given[0] in ("-h", "--help") else sys.stderr
        stream.write(f"usage: pointata COMMAND ... (COMMAND --help says more)\n{overview}\n")
        return 0 if stream is sys.stdout else 2
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        return _COMMANDS[given[0]][0](given[1:])
    except PointataError as error:
        sys.stderr.write(f"pointata {given[0]}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
