"""Every shipped training configuration is one that its command takes."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointata.cli import COMMANDS
from pointata.errors import UsageError

for module in ("jsonargparse", "lightning", "torchmetrics"):
    pytest.importorskip(module, reason=f"training needs {module} (pip install {module})")

FILES = sorted((Path(__file__).parents[2] / "config" / "train").glob("*.yaml"))


def parser_of(file: Path) -> Any:
    """The options of the command that the first lines of a configuration name."""
    line = re.search(r"^#   pointata (\S+) --config config/train/(\S+)", file.read_text(), re.MULTILINE)
    assert line is not None
    command = COMMANDS[line[1]]
    return getattr(import_module(command.module), command.function).parser()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_configuration_is_taken_by_its_command(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    parser = parser_of(file)
    parsed = parser.parse_object(content)
    assert parsed.data.sampling.scale_m > 0 if "sampling" in parsed.data else parsed.data.source
    with pytest.raises(UsageError, match="no_such_setting"):
        parser.parse_object({**content, "data": {**content["data"], "no_such_setting": 1}})
