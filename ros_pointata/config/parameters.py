"""The node's parameters: one dataclass holds names, defaults, ranges and descriptions. Imports no ROS.

`declaration.declare` turns it into ROS parameters; `render_yaml` writes config/node.yaml (`python -m
ros_pointata.config.parameters > config/node.yaml`); with --markdown it writes the table of the README.
"""

import sys
import textwrap
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, get_args

from pointata.errors import ConfigError
from pointata.inference.options import Device, Precision, PredictorOptions
from pointata.preprocessing.merging import MOST


def _parameter(default: Any, text: str, *, low: float | None = None, high: float | None = None,
               choices: tuple[str, ...] = (), live: bool = False) -> Any:  # fmt: skip
    return field(default=default, metadata={"text": text, "low": low, "high": high, "choices": choices, "live": live})


@dataclass(frozen=True)
class Window:
    """The sliding point video."""

    min_frames: int = _parameter(
        PredictorOptions.min_frames,
        "Clouds in the window before an action may be reported.",
        low=1,
        high=1000,
        live=True,
    )
    max_gap_s: float = _parameter(
        PredictorOptions.max_gap_s,
        "A longer time without clouds (s, by their stamps) empties the window.",
        low=0.01,
        high=60.0,
        live=True,
    )
    stride: int = _parameter(
        0,
        "Use every n-th cloud; 0 = the n that comes nearest to the frame period that the bundle was trained at.",
        low=0,
        high=1000,
    )
    merge: int = _parameter(
        0,
        "Join the last n clouds of a sparse sensor, those that the stride leaves out included, into one frame; 0 = as "
        "many as the bundle was trained with, 1 = none.",
        low=0,
        high=MOST,
    )


@dataclass(frozen=True)
class Crop:
    """Which points the network sees; the rest is published unlabelled."""

    min_range_m: float = _parameter(
        PredictorOptions.min_range_m,
        "Points nearer to the sensor than this (m) are left out.",
        low=0.0,
        high=1e3,
        live=True,
    )
    max_range_m: float = _parameter(
        PredictorOptions.max_range_m,
        "Points farther from the sensor than this (m) are left out; 0 = no limit.",
        low=0.0,
        high=1e4,
        live=True,
    )
    drop_zeros: bool = _parameter(
        PredictorOptions.drop_zeros,
        "Points at exactly (0, 0, 0) are left out: what drivers write where no echo came back.",
        live=True,
    )

    def __post_init__(self) -> None:
        if 0 < self.max_range_m <= self.min_range_m:
            raise ConfigError(
                f"crop.max_range_m {self.max_range_m} is not beyond crop.min_range_m {self.min_range_m}: "
                "no point would be left; set 0 for no limit"
            )


@dataclass(frozen=True)
class Action:
    """How action scores become a reported label."""

    unknown_score: float = _parameter(
        PredictorOptions.unknown_score,
        "An action below this probability is reported as unknown, as is one in a window unlike the bundle's training, "
        "where the bundle says how unlike; 0 = neither.",
        low=0.0,
        high=1.0,
        live=True,
    )
    hysteresis_frames: int = _parameter(
        PredictorOptions.hysteresis_frames,
        "A new action is reported once it has led for this many clouds in a row; 1 = at once.",
        low=1,
        high=100,
        live=True,
    )


@dataclass(frozen=True)
class Motion:
    """Where the sensor's own motion comes from."""

    source: str = _parameter(
        "none",
        "Source of ego motion: none (a sensor that stands still), odometry (nav_msgs/Odometry on ~/input/odometry) or "
        "tf.",
        choices=("none", "odometry", "tf"),
    )
    world_frame: str = _parameter("odom", "World-fixed frame of source tf; odometry comes in a frame of its own.")
    timeout_s: float = _parameter(
        0.1, "Longest wait for the pose of a cloud (s); after it the latest pose is used, with a warning.",
        low=0.0, high=5.0,
    )  # fmt: skip
    mounting: tuple[float, ...] = _parameter(
        (0.0,) * 6,
        "Pose of the sensor in the child frame of the odometry: x y z (m), roll pitch yaw (rad); unused by tf.",
        low=-1e3,
        high=1e3,
    )


@dataclass(frozen=True)
class Input:
    """QoS of ~/input/pointcloud."""

    reliability: str = _parameter(
        "best_effort", "Reliability of the input subscription.", choices=("best_effort", "reliable")
    )
    depth: int = _parameter(5, "Clouds that the middleware keeps for the node.", low=1, high=50)


@dataclass(frozen=True)
class Output:
    """QoS of ~/output/*."""

    reliability: str = _parameter("reliable", "Reliability of the outputs.", choices=("best_effort", "reliable"))
    depth: int = _parameter(1, "Messages kept for each slow subscriber of an output.", low=1, high=50)


@dataclass(frozen=True)
class Diagnostics:
    """/diagnostics."""

    period_s: float = _parameter(1.0, "Time between two messages on /diagnostics (s).", low=0.1, high=60.0)


@dataclass(frozen=True)
class Parameters:
    """Everything a user can set, by the dotted names of the ROS parameters."""

    model: str = _parameter(
        "sim_room", "Weight bundle: the name of a shipped one (sim_room, sim_street, mars_actions) or a path."
    )
    backbone: str = _parameter("", "Path of the frozen backbone's weights; empty = the one that the bundle names.")
    device: str = _parameter("auto", "Where the network runs; auto takes a GPU if there is one.",
                          choices=get_args(Device))  # fmt: skip
    precision: str = _parameter(
        "fp32",
        "Arithmetic of the network; auto takes the fastest here that agrees with fp32; fp16 needs a GPU, int8 a CPU.",
        choices=get_args(Precision),
    )  # fmt: skip
    torch_threads: int = _parameter(
        0, "CPU threads of the network; 0 = number of cores - 1, at least 1.", low=0, high=256
    )
    autostart: bool = _parameter(True, "Configure and activate at start, without a lifecycle manager.")
    window: Window = field(default_factory=Window)
    crop: Crop = field(default_factory=Crop)
    action: Action = field(default_factory=Action)
    motion: Motion = field(default_factory=Motion)
    input: Input = field(default_factory=Input)
    output: Output = field(default_factory=Output)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)


@dataclass(frozen=True)
class Spec:
    """One parameter as it is declared: dotted name, default, description, what it takes, and whether it is `live`: also
    taken over by a node that is configured already.
    """

    name: str
    default: Any
    text: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    live: bool

    @property
    def allowed(self) -> str:
        """The allowed values, for humans."""
        if self.choices:
            return ", ".join(self.choices)
        if isinstance(self.default, bool):
            return "true, false"
        if self.low is None:
            return "any text"
        each = f"{len(self.default)} numbers, each " if isinstance(self.default, tuple) else ""
        return f"{each}{self.low:g} to {self.high:g}"

    def check(self, value: Any) -> Any:
        """`value` in the type of the default (an integer passes for a float).

        Raises:
            ConfigError: wrong type or outside the allowed values.
        """
        if isinstance(self.default, tuple):
            return self._check_numbers(value)
        if isinstance(self.default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        inside = type(value) is type(self.default)
        if inside and self.choices:
            inside = value in self.choices
        if inside and self.low is not None and self.high is not None:
            inside = self.low <= value <= self.high
        if not inside:
            raise self._refusal(value)
        return value

    def _check_numbers(self, value: Any) -> tuple[float, ...]:
        is_list = isinstance(value, Sequence | array) and not isinstance(value, str)
        if is_list and len(value) == len(self.default) and all(isinstance(n, int | float) for n in value):
            numbers = tuple(float(number) for number in value)
            if self.low is not None and self.high is not None and all(self.low <= n <= self.high for n in numbers):
                return numbers
        raise self._refusal(value)

    def _refusal(self, value: Any) -> ConfigError:
        shown = "an empty value" if value is None else repr(value)
        return ConfigError(f"parameter {self.name}: {shown} is refused, allowed: {self.allowed}")


def _specs_of(group: Any, prefix: str = "") -> list[Spec]:
    specs = []
    for entry in fields(group):
        value = getattr(group, entry.name)
        if is_dataclass(value):
            specs += _specs_of(value, f"{prefix}{entry.name}.")
        else:
            specs.append(Spec(prefix + entry.name, value, **entry.metadata))
    return specs


#: Every parameter, in the order of the dataclass.
SPECS: tuple[Spec, ...] = tuple(_specs_of(Parameters()))
#: Parameters that can be changed while the node is configured or active.
LIVE = tuple(spec.name for spec in SPECS if spec.live)


def from_values(values: Mapping[str, Any]) -> Parameters:
    """Parameters from values by dotted name; names left out keep their defaults.

    Raises:
        ConfigError: an unknown name, a refused value, or values that contradict each other.
    """
    known = {spec.name: spec for spec in SPECS}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown parameters {', '.join(unknown)}; known: {', '.join(known)}")
    checked = {name: known[name].check(value) for name, value in values.items()}
    groups = {}
    for entry in fields(Parameters):
        if entry.name in checked:
            groups[entry.name] = checked[entry.name]
        inner = {name.split(".")[1]: value for name, value in checked.items() if name.startswith(f"{entry.name}.")}
        if inner:
            groups[entry.name] = getattr(Parameters(), entry.name).__class__(**inner)
    return Parameters(**groups)


def render_yaml() -> str:
    """The text of config/node.yaml: every parameter with its default, its description and what it takes."""
    lines = [
        "# All parameters of pointata_node with their defaults. Written by `python -m ros_pointata.config.parameters`.",
        "/**:",
        "  ros__parameters:",
    ]
    group = ""
    for spec in SPECS:
        *prefix, leaf = spec.name.split(".")
        if prefix and prefix[0] != group:
            group = prefix[0]
            lines.append(f"    {group}:")
        indent = " " * (6 if prefix else 4)
        comment = f"{indent}# "
        lines += textwrap.wrap(f"{spec.text} [{spec.allowed}]", 110, initial_indent=comment, subsequent_indent=comment)
        lines.append(f"{indent}{leaf}: {_yaml_value(spec.default)}")
    return "\n".join(lines) + "\n"


def render_markdown_table() -> str:
    """The parameter table of the README."""
    rows = ["| parameter | default | allowed | meaning |", "|---|---|---|---|"]
    rows += [f"| `{s.name}` | `{_yaml_value(s.default)}` | {s.allowed} | {s.text} |" for s in SPECS]
    return "\n".join(rows) + "\n"


def _yaml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml_value(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    sys.stdout.write(render_markdown_table() if "--markdown" in sys.argv[1:] else render_yaml())
