"""The `pointata` command."""

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from pointata import __version__
from pointata.errors import PointataError, UsageError
from pointata.system.arguments import Parser
from pointata.system.optional import import_optional
from pointata.text import nearest_name


def info(arguments: Sequence[str]) -> None:
    """Print the metadata of bundles as YAML."""
    import yaml

    from pointata.bundles.bundle import describe
    from pointata.bundles.catalogue import shipped_bundles

    parser = Parser("info", "Show the metadata of bundles.", "pointata info sim_room")
    parser.add_argument("models", nargs="*", help="bundles: paths or shipped names; none for all shipped ones")
    for name in parser.parse_args(arguments).models or shipped_bundles():
        sys.stdout.write(yaml.safe_dump({name: describe(name)}, sort_keys=False, default_flow_style=None, width=120))


class Command(NamedTuple):
    """A subcommand: a function of a module, imported when it is called, as it may need what a robot does not have."""

    module: str
    function: str
    extra: str
    """Of the installation, which has the libraries that the module imports; "" for the plain one."""
    text: str


COMMANDS = {
    "pretrain": Command(
        "pointata.pretraining.command", "pretrain", "training", "make a 3D backbone by masked autoencoding of shapes"
    ),
    "classify": Command(
        "pointata.pretraining.command", "classify", "training", "check a backbone: classification of labelled shapes"
    ),
    "import-point-mae": Command(
        "pointata.pretraining.import_command", "import_point_mae", "",
        "make a backbone of an official Point-MAE checkpoint",
    ),
    "align": Command(
        "pointata.alignment.command", "align", "training", "stage 1: align the embedder by optimal transport"
    ),
    "adapt": Command(
        "pointata.adaptation.command", "adapt", "training",
        "stage 2: train adapters and heads (or more) on point videos",
    ),
    "frame-heads": Command(
        "pointata.adaptation.command", "frame_heads", "training",
        "train a bundle's action heads further, its trunk frozen",
    ),
    "evaluate": Command("pointata.evaluation.command", "run", "", "measure a bundle on recordings or a data set"),
    "check-data": Command("pointata.data.check", "run", "", "say what a data set holds, and whether it can be read"),
    "info": Command("pointata.cli", "info", "", "show the metadata of bundles"),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code: 1 for an error, 2 for wrong arguments, 130 after Ctrl-C."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if name == "--version":
        sys.stdout.write(f"pointata {__version__}\n")
        return 0
    if name not in COMMANDS:
        return _overview(name)
    _speak_for_itself()
    try:
        command = COMMANDS[name]
        module = import_optional(command.module, command.extra, "this command")
        getattr(module, command.function)(rest)
        return 0
    except KeyboardInterrupt as stop:
        return _fail(130, f"pointata {name}: stopped by Ctrl-C{f'; {stop}' if str(stop) else ''}")
    except UsageError as error:
        return _fail(2, f"pointata {name}: {error}; see pointata {name} --help")
    except (PointataError, OSError) as error:
        return _fail(1, f"pointata {name}: {error}")


def _fail(code: int, sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


def _overview(name: str) -> int:
    """Say which commands there are; an error unless that was asked for."""
    asked = name in ("-h", "--help")
    stream = sys.stdout if asked else sys.stderr
    if name and not asked:
        near = nearest_name(name, COMMANDS)
        stream.write(f"pointata: there is no command {name!r}{f': did you mean {near}?' if near else ''}\n")
    commands = "\n".join(f"  {name:18s}{command.text}" for name, command in COMMANDS.items())
    stream.write(f"usage: pointata COMMAND ... (COMMAND --help says more)\n       pointata --version\n{commands}\n")
    return 0 if asked else 2


def _speak_for_itself() -> None:
    """Show this package's log and warnings, of others' the log from WARNING on; Python can be asked for more (-W).

    The libraries' words (tips, hardware that is absent, uses that will end) are for those who develop with them.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("pointata").setLevel(logging.INFO)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", category=UserWarning, module=r"pointata\.")


if __name__ == "__main__":
    sys.exit(main())
