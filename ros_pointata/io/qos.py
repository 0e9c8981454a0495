"""QoS profiles of the node, and middleware events counted into its health."""

from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ros_pointata.config.parameters import Input, Output
from ros_pointata.monitoring.continuity import Losses
from ros_pointata.monitoring.health import Health


def stream_profile(stream: Input | Output) -> QoSProfile:
    """Keep-last QoS with the reliability and depth that the parameters name."""
    reliability = ReliabilityPolicy.RELIABLE if stream.reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=stream.depth, reliability=reliability)


def latched_profile() -> QoSProfile:
    """Reliable, transient local, depth 1: late joiners get the last message."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def input_events(health: Health, losses: Losses) -> SubscriptionEventCallbacks:
    """Event callbacks of the cloud subscription: publishers matched, incompatible QoS offered. What is lost is counted
    by sequence numbers, which also tell of what was overwritten.
    """

    def on_incompatible(event: Any) -> None:
        health.count("incompatible qos", event.total_count_change)

    def on_matched(event: Any) -> None:
        losses.forget()
        health.note("input publishers", str(event.current_count))

    return SubscriptionEventCallbacks(incompatible_qos=on_incompatible, matched=on_matched)


def output_events(health: Health, topic: str) -> PublisherEventCallbacks:
    """Event callbacks of an output: subscribers matched, incompatible QoS requested."""

    def on_incompatible(event: Any) -> None:
        health.count("incompatible qos", event.total_count_change)

    def on_matched(event: Any) -> None:
        health.note(f"subscribers of {topic}", str(event.current_count))

    return PublisherEventCallbacks(incompatible_qos=on_incompatible, matched=on_matched)
