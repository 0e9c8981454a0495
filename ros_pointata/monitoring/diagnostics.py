"""`Health` as diagnostic_msgs/DiagnosticArray on /diagnostics."""

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from ros_pointata.monitoring.health import Health


class DiagnosticsPublisher:
    """Publishes the state of the node at a fixed period, in every lifecycle state.

    The period is of the steady clock: with use_sim_time and a clock that stands still there is most to be told. The
    stamp is of the node's clock, as those of the clouds.

    Args:
        node: whose clock, name and executor are used.
        health: what is published.
        period_s: time between two messages, seconds.
        look: called before each message; sets the warnings that nobody else would.
    """

    def __init__(self, node: LifecycleNode, health: Health, period_s: float, look: Callable[[], None]) -> None:
        self._look = look
        self._node = node
        self._health = health
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self._timer = node.create_timer(period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def set_period(self, period_s: float) -> None:
        """Change the time between two messages, seconds."""
        self._timer.timer_period_ns = round(period_s * 1e9)
        self._timer.reset()

    def publish(self) -> None:
        """Look, and publish where somebody listens."""
        self._look()
        if self._publisher.get_subscription_count() == 0:
            return
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [status(self._health, f"{self._node.get_fully_qualified_name()[1:]}: inference")]
        self._publisher.publish(message)


def status(health: Health, name: str) -> DiagnosticStatus:
    """ERROR with the sentence that keeps the node from working, WARN with the standing warnings, else OK."""
    warnings = health.warnings()
    if health.error:
        level, summary = DiagnosticStatus.ERROR, health.error
    elif warnings:
        level, summary = DiagnosticStatus.WARN, "; ".join(warnings)
    else:
        level, summary = DiagnosticStatus.OK, health.summary()
    values = [KeyValue(key=key, value=value) for key, value in health.values().items()]
    return DiagnosticStatus(level=level, name=name, message=summary, hardware_id="pointata", values=values)
