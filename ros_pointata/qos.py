"""QoS profiles of the node, and middleware events counted into its health."""

from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind

from ros_pointata.health import Health
from ros_pointata.parameters import Input, Output

#: Topic of the warning about publishers of the input.
INPUT_QOS = "input qos"


def stream_profile(stream: Input | Output) -> QoSProfile:
    """Keep-last QoS with the reliability and depth that the parameters name."""
    reliability = ReliabilityPolicy.RELIABLE if stream.reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=stream.depth, reliability=reliability)


def latched_profile() -> QoSProfile:
    """Reliable, transient local, depth 1: late joiners get the last message."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def input_events(health: Health) -> SubscriptionEventCallbacks:
    """Event callbacks of the cloud subscription: publishers matched, incompatible QoS offered, messages lost."""

    def on_incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        health.count("incompatible qos", event.total_count_change)
        health.warn(INPUT_QOS, f"a publisher of the input offers an incompatible {policy}: set input.reliability")

    def on_lost(event: Any) -> None:
        health.count("messages lost", event.total_count_change)

    def on_matched(event: Any) -> None:
        health.note("input publishers", str(event.current_count))

    return SubscriptionEventCallbacks(incompatible_qos=on_incompatible, message_lost=on_lost, matched=on_matched)


def output_events(health: Health, topic: str) -> PublisherEventCallbacks:
    """Event callbacks of an output: subscribers matched, incompatible QoS requested."""

    def on_incompatible(event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        health.count("incompatible qos", event.total_count_change)
        health.warn(f"qos of {topic}", f"a subscriber of {topic} asks for another {policy}: set output.reliability")

    def on_matched(event: Any) -> None:
        health.note(f"subscribers of {topic}", str(event.current_count))

    return PublisherEventCallbacks(incompatible_qos=on_incompatible, matched=on_matched)
