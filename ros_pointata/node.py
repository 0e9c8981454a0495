"""The lifecycle node: clouds in, labels out. It wires; every step has a module of its own."""

import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from pointata import PointataError
from pointata.errors import ConfigError
from pointata.system.memory import keep_freed_memory
from ros_pointata import executable
from ros_pointata.config.declaration import declare, read, refusals
from ros_pointata.config.parameters import LIVE, Parameters
from ros_pointata.io.dds_profile import use_large_cloud_profile
from ros_pointata.model import Model, ModelLoader, load_predictor
from ros_pointata.monitoring.diagnostics import DiagnosticsPublisher
from ros_pointata.monitoring.health import PARAMETERS, Health
from ros_pointata.runtime.runtime import Runtime

NOT_CONFIGURED = "no model is loaded: configure the node first"


class PointataNode(LifecycleNode):
    """Runs a model on the clouds of one sensor; see config/node.yaml for the parameters.

    Args:
        load_model: makes the model from the parameters, on the worker thread.
        node_name: name unless remapped.
        **kwargs: of rclpy.node.Node.
    """

    def __init__(self, load_model: ModelLoader = load_predictor, node_name: str = "pointata", **kwargs: Any) -> None:
        super().__init__(node_name, automatically_declare_parameters_from_overrides=True, **kwargs)
        self.health = Health()
        self.ending: Future[None] = Future()
        self._wake = self.create_guard_condition(lambda: None)
        self._load_model = load_model
        self._runtime: Runtime | None = None
        self._refused = self._declare_parameters()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._after_set_parameters)
        self._diagnostics = DiagnosticsPublisher(
            self, self.health, self.get_parameter("diagnostics.period_s").value, self._look
        )
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.health.fail("not configured")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and open the outputs; FAILURE, with a sentence, where that is not possible."""
        try:
            if self._refused:
                raise ConfigError("; ".join(self._refused.values()) + "; set it again, then configure")
            self._runtime = Runtime(self, read(self), self._load_model, self.health, self.ending)
        except Exception as error:
            self._report_failure(error)
            return TransitionCallbackReturn.FAILURE
        self._diagnostics.set_period(self._runtime.parameters.diagnostics.period_s)
        self.health.fail("not active")
        self.get_logger().info(f"model {self._runtime.model_name} is loaded")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the input."""
        assert self._runtime is not None  # the state machine lets no unconfigured node in here
        result = super().on_activate(state)
        self._runtime.lane.open_input()
        self.health.fail("")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the input and let the worker finish; the model stays loaded, its window is emptied."""
        if self._runtime is not None:
            self._runtime.lane.close_input()
            self._runtime.drain()
            self._runtime.lane.reset("deactivated")
        self.health.fail("not active")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker, free the model, take the outputs back."""
        self.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As on_cleanup, from every state."""
        self.release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A transition raised: give everything back; the node is unconfigured again."""
        self.get_logger().error(f"a transition from '{state.label}' failed; the node is unconfigured again")
        self.release()
        return super().on_error(state)

    def autostart(self) -> bool:
        """Configure and activate, where the parameter says so; False where that was not possible."""
        if not self.get_parameter("autostart").value:
            return True
        steps = (self.trigger_configure, self.trigger_activate)
        return all(step() == TransitionCallbackReturn.SUCCESS for step in steps)

    def end(self) -> None:
        """Let nothing wait for long any more, and whoever spins the node return; from any thread."""
        self.ending.set_result(None)
        self._wake.trigger()

    def declare_parameters(self, namespace: str, parameters: list[Any], ignore_override: bool = False) -> Any:
        """As in rclpy; an empty start value (`[]` or null in YAML) does not raise: it is declared and refused."""
        empty = ParameterDescriptor(dynamic_typing=True)
        parameters = [(*entry[:-1], empty) if entry[1:-1] == (None,) else entry for entry in parameters]
        return super().declare_parameters(namespace, parameters, ignore_override)

    def release(self) -> None:
        """Stop the worker and free model, outputs and input; the node can be configured again."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()
        self.health.fail("not configured")

    def _look(self) -> None:
        if self._runtime is not None:
            self._runtime.lane.look()

    def _report_failure(self, error: Exception) -> None:
        expected = isinstance(error, PointataError)
        sentence = f"cannot configure: {error}" if expected else f"cannot configure: {type(error).__name__}: {error}"
        self.health.fail(sentence)
        self.get_logger().error(sentence if expected else f"{sentence}\n{traceback.format_exc()}")

    def _declare_parameters(self) -> dict[str, str]:
        declaration = declare(self)
        for sentence in declaration.refused.values():
            self.get_logger().error(sentence)
        if declaration.unknown:
            sentence = f"unknown parameters are ignored: {', '.join(declaration.unknown)}"
            self.get_logger().warning(sentence)
            self.health.warn(PARAMETERS, sentence)
        return declaration.refused

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        values = {parameter.name: parameter.value for parameter in parameters}
        problems = list(refusals(values))
        problems += self._contradictions(values)
        fixed = sorted(set(values) - {"use_sim_time", *LIVE})
        if self._runtime is not None and fixed:
            problems.append(f"{', '.join(fixed)}: read at configure; deactivate and clean up the node first")
        if not problems:
            for name in values:
                self._refused.pop(name, None)
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    def _contradictions(self, values: dict[str, Any]) -> list[str]:
        """What is wrong with live values beside those that stay; at configure all of them are looked at."""
        if self._runtime is None or not set(values) & set(LIVE):
            return []
        try:
            read(self, {name: value for name, value in values.items() if name in LIVE})
        except ConfigError as error:
            return [str(error)]
        return []

    def _after_set_parameters(self, parameters: list[Parameter]) -> None:
        if self._runtime is not None and {parameter.name for parameter in parameters} & set(LIVE):
            self._runtime.take_over(read(self))

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._runtime is not None, NOT_CONFIGURED
        if self._runtime is not None:
            self._runtime.lane.reset("asked for by ~/reset")
            response.message = "the window is emptied before the next cloud"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._runtime is not None, NOT_CONFIGURED
        if self._runtime is not None:
            self._runtime.lane.enable(request.data)
            response.message = "clouds are taken" if request.data else "clouds are ignored"
        return response


def _load_and_freeze(parameters: Parameters) -> Model:
    """`load_predictor`, for a process that is there for the node alone."""
    executable.freeze_modules()
    return load_predictor(parameters)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; the executable `pointata_node`."""
    arguments = list(sys.argv if argv is None else argv)
    executable.read_arguments(arguments)
    use_large_cloud_profile()
    keep_freed_memory()
    ends = executable.catch_signals()
    executable.start_ros("pointata_node", arguments)
    return executable.leave(executable.run(PointataNode(_load_and_freeze), ends))
