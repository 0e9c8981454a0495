"""As much of `launch` and `launch_ros`, which only a full ROS has, as it takes to run this package's launch files."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


class Entity:
    """Any action, condition or substitution: keeps what it was made of."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.arguments, self.keywords = arguments, keywords


class DeclareLaunchArgument(Entity): ...


class OpaqueFunction(Entity): ...


class Node(Entity): ...


class ExecuteProcess(Entity): ...


class IncludeLaunchDescription(Entity): ...


class Shutdown(Entity): ...


class LaunchContext(dict[str, str]): ...


class LaunchConfiguration(Entity):
    def perform(self, context: LaunchContext) -> str:
        return context[self.arguments[0]]


class IfCondition(Entity):
    def evaluate(self, context: LaunchContext) -> bool:
        return self.arguments[0].perform(context) in ("true", "1")


_MODULES: dict[str, dict[str, Any]] = {
    "launch": {"LaunchDescription": Entity, "LaunchContext": LaunchContext, "LaunchDescriptionEntity": Entity},
    "launch.actions": {
        kind.__name__: kind
        for kind in (DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction, Shutdown)
    },
    "launch.conditions": {"IfCondition": IfCondition},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": Entity},
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration, "NotEqualsSubstitution": Entity},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
}


def started(path: Path, monkeypatch: pytest.MonkeyPatch, **given: str) -> list[Entity]:
    """What a launch file starts, in order, with these arguments; raises what the file raises on the way."""
    for name, content in _MODULES.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("launch_file", path)
    assert spec is not None
    assert spec.loader is not None
    file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(file)
    entities = file.generate_launch_description().arguments[0]
    declared = [entity for entity in entities if isinstance(entity, DeclareLaunchArgument)]
    context = LaunchContext({entity.arguments[0]: entity.keywords["default_value"] for entity in declared} | given)
    result: list[Entity] = []
    for entity in entities:
        if isinstance(entity, OpaqueFunction):
            result += entity.keywords["function"](context)
        elif not isinstance(entity, DeclareLaunchArgument):
            result.append(entity)
    return result
