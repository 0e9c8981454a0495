"""Parser of the training commands: settings by dotted names and YAML files, with their documentation as help."""

import argparse
from collections.abc import Mapping
from typing import Any

import jsonargparse

from pointata.system.arguments import OneSentence, closing

# the sentence under a field of a dataclass is its help
jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


class _Formatter(argparse.RawDescriptionHelpFormatter, jsonargparse.DefaultHelpFormatter):
    """Leaves the lines of the example as they are."""


class SettingsParser(OneSentence, jsonargparse.ArgumentParser):
    """jsonargparse's, for one of this package's commands."""

    def show_only(self, group: str, texts: Mapping[str, str], title: str) -> None:
        """Let the help name only some options of a group; the parser takes the others as before.

        Args:
            group: prefix of its options.
            texts: help of the options that are shown.
            title: of the group.
        """
        for action in self._actions:
            prefix, _, name = action.dest.partition(".")
            if prefix == group and name:
                action.help = texts.get(name, argparse.SUPPRESS)
        assert self.groups is not None  # typed so for argparse's sake
        self.groups[group].title = title


def wording(command: str, description: str, example: str) -> dict[str, Any]:
    """Arguments for the parser.

    Args:
        command: name of the subcommand.
        description: what it does.
        example: a command line that works, shown at the end of the help.
    """
    return {
        "prog": f"pointata {command}",
        "usage": "%(prog)s [--config FILE] [--SETTING VALUE ...]",
        "description": description,
        "epilog": closing(example),
        "formatter_class": _Formatter,
    }
