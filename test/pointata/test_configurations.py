"""Every shipped training configuration is one that its command takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

jsonargparse = pytest.importorskip("jsonargparse", reason="training needs jsonargparse (pip install jsonargparse)")
lightning = pytest.importorskip("lightning", reason="training needs lightning (pip install lightning)")

FILES = sorted((Path(__file__).parents[2] / "config" / "train").glob("*.yaml"))


def parser_of(content: dict[str, Any]) -> Any:
    """The options of the command that a configuration is for, told by what it holds."""
    from pointata.adaptation.adapt import Adapt
    from pointata.adaptation.frame_heads import FrameHeadSettings
    from pointata.alignment.align import AlignSettings
    from pointata.pretraining.masked import Pretrain
    from pointata.pretraining.shape_data import ShapeData
    from pointata.training.video_clips import VideoClips

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    if "trainer" in content:
        shapes = "source" in content["data"]
        parser.add_class_arguments(lightning.Trainer, "trainer")
        parser.add_class_arguments(Pretrain if shapes else Adapt, "model")
        parser.add_class_arguments(ShapeData if shapes else VideoClips, "data")
    else:
        parser.add_class_arguments(VideoClips, "data")
        settings, name = (FrameHeadSettings, "heads") if "heads" in content else (AlignSettings, "settings")
        parser.add_class_arguments(settings, name)
    for option in ("seed_everything", "seed", "threads"):
        parser.add_argument(f"--{option}", type=int)
    for option in ("source", "out"):
        parser.add_argument(f"--{option}", type=str)
    return parser


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_configuration_is_taken_by_its_command(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    parser = parser_of(content)
    parsed = parser.parse_object(content)
    assert parsed.data.sampling.scale_m > 0 if "sampling" in parsed.data else parsed.data.source
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_object({**content, "data": {**content["data"], "no_such_setting": 1}})
