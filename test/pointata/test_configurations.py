"""Every shipped training configuration is one that its command takes."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

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
    parser = parser_of(file)
    parsed = parser.parse_path(file)
    assert parsed.data.sampling.scale_m > 0 if "sampling" in parsed.data else parsed.data.source
    with pytest.raises(UsageError, match="no_such_setting"):
        parser.parse_args([f"--config={file}", "--data.no_such_setting=1"])


def test_both_stages_and_pretraining_share_networks_and_samplings() -> None:
    """Else stage 2 refuses the embedder, and recordings are sampled twice."""
    parsed = {file.stem: parser_of(file).parse_path(file) for file in FILES}
    for name in ("sim_room", "sim_street", "mars"):
        ours, first = (dict(vars(given.network)) for given in (parsed[name], parsed[f"{name}_align"]))
        assert ours == first
        assert ours["groups"] not in (None, 64)
    for scene, name in (("room", "sim_room"), ("street", "sim_street")):
        frames = vars(parsed["pretrain_tiny"].data.frames[scene])
        assert frames == vars(parsed[name].data.sampling)
        assert frames["scale_m"] == {"room": 2.0, "street": 20.0}[scene]
