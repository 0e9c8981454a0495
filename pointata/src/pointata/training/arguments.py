"""Parsers of the training commands: settings by dotted names and YAML files, with their documentation as help."""

import argparse
from typing import Any

import jsonargparse
from lightning.pytorch.cli import LightningArgumentParser

from pointata.system.arguments import OneSentence, closing

# the sentence under a field of a dataclass is its help
jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


class _Formatter(argparse.RawDescriptionHelpFormatter, jsonargparse.DefaultHelpFormatter):
    """Leaves the lines of the example as they are."""


class _Settings(OneSentence, jsonargparse.ArgumentParser):
    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The help, Lightning's many options last."""
        groups = self._action_groups
        self._action_groups = sorted(groups, key=lambda group: any("trainer" in a.dest for a in group._group_actions))
        return super().format_help(formatter)


class SettingsParser(_Settings):
    """jsonargparse's, for one of this package's commands."""


class TrainingParser(_Settings, LightningArgumentParser):
    """Lightning's, for one of this package's commands."""


def wording(command: str, description: str, example: str) -> dict[str, Any]:
    """Arguments for either parser.

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
