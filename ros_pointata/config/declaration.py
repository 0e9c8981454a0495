"""`Parameters` as ROS parameters, with descriptors and ranges; a bad start value does not take the node down."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from pointata.errors import ConfigError
from ros_pointata.config.parameters import SPECS, Parameters, Spec, from_values

#: Parameters that rclpy declares or reads itself.
_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")


@dataclass
class Declaration:
    """What became of the values that the node was started with.

    Attributes:
        refused: sentence by parameter name, for each value that was not taken; the parameter holds its default.
        unknown: names that the node does not know.
    """

    refused: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def declare(node: Node) -> Declaration:
    """Declare every parameter; a start value that is refused leaves the default in place and a sentence behind.

    Args:
        node: made with automatically_declare_parameters_from_overrides=True, so that its overrides can be seen.
    """
    names = list(node.get_parameters_by_prefix(""))
    overrides = {name: node.get_parameter(name).value for name in names}
    result = Declaration()
    for spec in SPECS:
        value = spec.default
        if spec.name in overrides:
            node.undeclare_parameter(spec.name)
            try:
                value = spec.check(overrides.pop(spec.name))
            except ConfigError as error:
                result.refused[spec.name] = str(error)
        node.declare_parameter(spec.name, _to_ros(value), _descriptor(spec), ignore_override=True)
    result.unknown = sorted(name for name in overrides if not name.startswith(_OF_RCLPY))
    return result


def read(node: Node, instead: Mapping[str, Any] = {}) -> Parameters:
    """The declared parameters' current values, but for those given `instead`.

    Raises:
        ConfigError: values that contradict each other.
    """
    return from_values({spec.name: node.get_parameter(spec.name).value for spec in SPECS} | dict(instead))


def refusals(values: dict[str, Any]) -> Iterator[str]:
    """One sentence for each of the values, by parameter name, that the node cannot take."""
    for spec in SPECS:
        if spec.name in values:
            try:
                spec.check(values[spec.name])
            except ConfigError as error:
                yield str(error)


def _descriptor(spec: Spec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=spec.text, additional_constraints=f"allowed: {spec.allowed}")
    if isinstance(spec.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=spec.low, to_value=spec.high, step=0.0)]
    elif isinstance(spec.default, int) and not isinstance(spec.default, bool):
        descriptor.integer_range = [IntegerRange(from_value=spec.low, to_value=spec.high, step=1)]
    return descriptor


def _to_ros(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
