"""One dataclass is the source of every parameter."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from pointata.errors import ConfigError
from pointata.inference.options import PredictorOptions
from ros_pointata.config.parameters import SPECS, Parameters, from_values, render_markdown_table, render_yaml
from ros_pointata.model import options_of

REPOSITORY = Path(__file__).resolve().parents[2]


def _flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    result: dict[str, object] = {}
    for name, value in tree.items():
        result |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return result


def test_config_file_is_what_the_dataclass_renders() -> None:
    assert (REPOSITORY / "config" / "node.yaml").read_text() == render_yaml(), (
        "run `python -m ros_pointata.config.parameters > config/node.yaml`"
    )


def test_config_file_holds_every_parameter_and_reads_back_as_the_defaults() -> None:
    values = _flat(yaml.safe_load((REPOSITORY / "config" / "node.yaml").read_text())["/**"]["ros__parameters"])
    assert list(values) == [spec.name for spec in SPECS]
    assert from_values(values) == Parameters()


def test_every_parameter_has_a_sentence_and_a_default_that_it_accepts() -> None:
    for spec in SPECS:
        assert spec.text[0].isupper()
        assert spec.text.endswith(".")
        assert spec.check(spec.default) == spec.default


def test_markdown_table_has_a_row_of_four_cells_per_parameter() -> None:
    rows = render_markdown_table().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == [f"`{spec.name}`" for spec in SPECS]
    assert {row.count("|") for row in rows} == {5}


def test_values_land_in_their_groups() -> None:
    parameters = from_values({"window.stride": 2, "motion.source": "odometry", "model": "x", "window.max_gap_s": 2})
    assert (parameters.window.stride, parameters.motion.source, parameters.model) == (2, "odometry", "x")
    assert parameters.window.max_gap_s == 2.0
    assert isinstance(parameters.window.max_gap_s, float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", "gpu"),
        ("window.min_frames", 0),
        ("window.min_frames", True),
        ("window.min_frames", 2.5),
        ("window.max_gap_s", float("nan")),
        ("window.max_gap_s", "1.0"),
        ("autostart", 1),
        ("action.unknown_score", 1.01),
        ("input.depth", 51),
        ("motion.mounting", [0.0] * 5),
        ("motion.mounting", [0.0] * 5 + [float("inf")]),
        ("motion.mounting", [0.0] * 5 + [float("nan")]),
        ("motion.mounting", ["a"] * 6),
        ("model", 3),
        ("model", None),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"parameter {name}: .* is refused, allowed: "):
        from_values({name: value})


def test_every_option_of_the_predictor_is_a_parameter_and_reaches_it() -> None:
    given = PredictorOptions(7, 3.5, 0.5, 9.0, False, 0.25, 5)
    defaults = PredictorOptions()
    values = {}
    for entry in fields(PredictorOptions):
        (name,) = [spec.name for spec in SPECS if spec.name.split(".")[-1] == entry.name]
        values[name] = getattr(given, entry.name)
        assert values[name] != getattr(defaults, entry.name)
    assert options_of(from_values(values)) == given
    assert options_of(Parameters()) == defaults


def test_parameters_come_without_torch() -> None:
    """Seconds, before the node would be seen."""
    program = "import sys, ros_pointata.config.parameters, ros_pointata.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_unknown_names_and_contradictions_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown parameters window\.min_frame;"):
        from_values({"window.min_frame": 3})
    with pytest.raises(ConfigError, match="no point would be left"):
        from_values({"crop.min_range_m": 5.0, "crop.max_range_m": 4.0})


def test_the_readme_names_the_parameters_that_can_be_changed_while_active() -> None:
    from ros_pointata.config.parameters import LIVE

    assert {name.split(".")[0] for name in LIVE} == {"action", "crop", "window"}
    groups = [spec.name for spec in SPECS if spec.name.startswith(("action.", "crop.")) or spec.name in LIVE]
    assert groups == list(LIVE)
    assert [name for name in LIVE if name.startswith("window.")] == ["window.min_frames", "window.max_gap_s"]
    readme = " ".join((Path(__file__).resolve().parents[2] / "README.md").read_text().split())
    assert "`action.*`, `crop.*`, `window.min_frames` and `window.max_gap_s` can be changed while the node" in readme
