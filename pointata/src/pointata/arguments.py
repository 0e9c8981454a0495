"""What the argument parsers of all commands have in common."""

import argparse
from typing import Any, NoReturn

from pointata.errors import UsageError


class OneSentence:
    """For a parser: arguments that it does not take are an error of one sentence, without the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Called by argparse and jsonargparse; arguments as theirs."""
        raise UsageError(" ".join(message.split()).rstrip(".")) from ex


class Parser(OneSentence, argparse.ArgumentParser):
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


def closing(example: str) -> str:
    """The end of a command's help."""
    return f"example:\n  {example}"
