"""What the argument parsers of all commands have in common."""

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn

from pointata.errors import UsageError


class OneSentence(argparse.ArgumentParser):
    """For a parser: options by full names; what it does not take is an error of one sentence, without usage."""

    def __init__(self, **options: Any) -> None:
        """Options as argparse's."""
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Called by argparse and jsonargparse; arguments as theirs."""
        raise UsageError(" ".join(message.split()).rstrip(".")) from ex


class Parser(OneSentence):
    """argparse's, for one of this package's commands."""

    def __init__(self, command: str, description: str, example: str, **options: Any) -> None:
        """Set the parser up.

        Args:
            command: name of the subcommand.
            description: what it does.
            example: a command line that works, shown at the end of the help.
            options: argparse's.
        """
        super().__init__(
            prog=f"pointata {command}",
            description=description,
            epilog=closing(example),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )


class Whole:
    """A type of options: whole numbers within limits, from a command line or a file."""

    def __init__(self, least: int, most: int | None = None) -> None:
        """Set the limits, both included."""
        self._least, self._most = least, most

    def __repr__(self) -> str:
        """As a help text states it."""
        return "whole number"

    def __call__(self, given: str | int) -> int:
        """The number; an argument error where it is none, or beyond the limits."""
        text = str(given)
        if text.isdecimal() and self._least <= int(text) and (self._most is None or int(text) <= self._most):
            return int(text)
        limits = f"of at least {self._least}" if self._most is None else f"from {self._least} to {self._most}"
        raise argparse.ArgumentTypeError(f"must be a whole number {limits}, not {text!r}")


#: What numpy and torch take as a seed.
SEED = Whole(0, 2**32 - 1)

#: The option of how many threads torch takes; see `pointata.system.cores.torch_threads`.
THREADS: Mapping[str, Any] = {
    "type": Whole(0),
    "default": 0,
    "help": "CPU threads of torch; 0 for OMP_NUM_THREADS, else all cores but one",
}


def closing(example: str) -> str:
    """The end of a command's help."""
    return f"example:\n  {example}"
