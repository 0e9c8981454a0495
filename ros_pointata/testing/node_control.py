"""Sets the running node up for another model, through its standard lifecycle and parameter services."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python

from ros_pointata.testing.processes import RunError

_DOWN = ((State.PRIMARY_STATE_ACTIVE, Transition.TRANSITION_DEACTIVATE, "deactivate"),
         (State.PRIMARY_STATE_INACTIVE, Transition.TRANSITION_CLEANUP, "cleanup"))  # fmt: skip
_UP = ((Transition.TRANSITION_CONFIGURE, "configure"), (Transition.TRANSITION_ACTIVATE, "activate"))


class NodeControl:
    """Clients of one lifecycle node. Something else must spin `node`.

    Args:
        node: that owns the clients.
        target: full name of the lifecycle node.
        check: raises where waiting is pointless, as when the process has ended.
    """

    def __init__(self, node: Node, target: str, check: Callable[[], None]) -> None:
        self._target = target
        self._check = check
        self._get_state = node.create_client(GetState, f"{target}/get_state")
        self._change_state = node.create_client(ChangeState, f"{target}/change_state")
        self._set_parameters = node.create_client(SetParametersAtomically, f"{target}/set_parameters_atomically")
        self._get_parameters = node.create_client(GetParameters, f"{target}/get_parameters")

    def wait_until_up(self, timeout_s: float) -> None:
        """Wait for the node's services.

        Raises:
            RunError: the time ran out.
        """
        end = time.monotonic() + timeout_s
        for client in (self._get_state, self._change_state, self._set_parameters, self._get_parameters):
            while not client.wait_for_service(0.2):
                self._check()
                if time.monotonic() > end:
                    raise RunError(f"{self._target} did not offer {client.srv_name} within {timeout_s:g} s")

    def reconfigure(self, values: Mapping[str, Any]) -> None:
        """Take the node down to unconfigured, set parameters, and bring it up to active.

        Raises:
            RunError: a transition or a value was refused.
        """
        for state, transition, name in _DOWN:
            if self._call(self._get_state, GetState.Request()).current_state.id == state:
                self._change(transition, name)
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        result = self._call(self._set_parameters, SetParametersAtomically.Request(parameters=parameters)).result
        if not result.successful:
            raise RunError(f"{self._target} refused its parameters: {result.reason}")
        for transition, name in _UP:
            self._change(transition, name)

    def parameter(self, name: str) -> Any:
        """Value of a parameter; None where the node does not have it."""
        values = self._call(self._get_parameters, GetParameters.Request(names=[name])).values
        return parameter_value_to_python(values[0]) if values else None

    def _change(self, transition: int, name: str) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        if not self._call(self._change_state, request).success:
            raise RunError(f"{self._target} refused the transition '{name}'")

    def _call(self, client: Any, request: Any, timeout_s: float = 120.0) -> Any:
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        end = time.monotonic() + timeout_s
        while not done.wait(0.2):
            self._check()
            if time.monotonic() > end:
                raise RunError(f"{client.srv_name} did not answer within {timeout_s:g} s")
        return future.result()
