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


@pytest.mark.parametrize("name", ["pretrain", "classify", "align", "adapt", "frame-heads"])
def test_all_training_commands_have_one_grammar(name: str) -> None:
    module = import_module(COMMANDS[name].module)
    actions = getattr(module, COMMANDS[name].function).parser()._actions
    options = {text for action in actions for text in action.option_strings if text.startswith("--")}
    assert {"--config", "--seed", "--threads", "--dry-run"} <= options
    assert ("--out" in options) == (name != "classify")  # which writes nothing
    assert not [text for text in options if "_" in text and "." not in text and text != "--print_config"]
    groups = {text.removeprefix("--").partition(".")[0] for text in options if "." in text}
    assert groups <= {"settings", "network", "data", "trainer"}
    assert "settings" in groups
    assert {"--resume", "--accelerator"} <= options or "trainer" not in groups
    assert "--trainer.accelerator" not in options  # stated once


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
