"""Transitions, parameters, services and ego motion of the running node."""

import gc
import os
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("ros_pointata.msg", reason="needs the generated messages of ros_pointata")

from node_harness import SECOND, Harness, StandInModel, cloud, some_points
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters
from std_srvs.srv import SetBool, Trigger

import ros_pointata.runtime.runtime
from pointata import BundleError
from pointata.data.pointcloud2 import decode_field
from ros_pointata.config.parameters import SPECS, Parameters
from ros_pointata.io.cloud import ns_to_stamp
from ros_pointata.io.publishers import ACTION, SEGMENTATION
from ros_pointata.model import load_predictor

STEP = SECOND // 10


@pytest.fixture
def idle() -> Iterator[Harness]:
    """Not configured."""
    with Harness() as harness:
        yield harness


@pytest.fixture
def running(idle: Harness) -> Harness:
    """Active."""
    idle.start()
    return idle


def _state(harness: Harness) -> str:
    from lifecycle_msgs.srv import GetState

    return str(harness.call(GetState, "get_state", GetState.Request()).current_state.label)


def _set(harness: Harness, name: str, **value: object) -> Any:
    message = ParameterMsg(name=name, value=ParameterValue(**value))
    return harness.call(SetParameters, "set_parameters", SetParameters.Request(parameters=[message])).results[0]


def test_the_whole_life_and_a_second_one(idle: Harness) -> None:
    assert _state(idle) == "unconfigured"
    assert idle.diagnosis("not configured").level == b"\x02"
    for life in range(2):
        idle.start()
        assert _state(idle) == "active"
        idle.publish(cloud((life + 1) * SECOND, some_points()), answered=2 * life + 1)
        assert idle.change_state("deactivate")
        assert _state(idle) == "inactive"
        idle.wait_until(lambda: idle.publisher.get_subscription_count() == 0)
        assert idle.change_state("activate")
        idle.wait_until(lambda: idle.publisher.get_subscription_count() > 0)
        idle.publish(cloud((life + 1) * SECOND + STEP, some_points()), answered=2 * life + 2)
        assert idle.change_state("deactivate")
        assert idle.change_state("cleanup")
        assert _state(idle) == "unconfigured"
    assert idle.change_state("shutdown")
    assert _state(idle) == "finalized"


@pytest.mark.parametrize("frozen", [False, True])
def test_cleanup_frees_the_model_and_ends_its_threads(frozen: bool) -> None:
    import threading

    models: list[weakref.ref[StandInModel]] = []

    def load(parameters: Parameters) -> StandInModel:
        if frozen:  # as freeze_modules does, with whatever of the runtime there is by then
            gc.freeze()
        model = StandInModel()
        models.append(weakref.ref(model))
        return model

    with Harness(load) as harness:
        harness.start()
        harness.publish(cloud(SECOND, some_points()), answered=1)
        assert harness.change_state("deactivate")
        assert models[0]() is not None
        gc.disable()
        assert harness.change_state("cleanup")
        assert models[0]() is None
        gc.enable()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pointata_")]


def test_a_forbidden_transition_leaves_the_node_alive(idle: Harness) -> None:
    from lifecycle_msgs.srv import ChangeState

    client = idle.client.create_client(ChangeState, "/pointata/change_state")
    assert client.wait_for_service(10)
    request = ChangeState.Request()
    request.transition.label = "activate"
    client.call_async(request)  # rclpy raises in the node and never answers
    time.sleep(0.2)
    assert _state(idle) == "unconfigured"
    idle.start()
    idle.publish(cloud(SECOND, some_points()), answered=1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BundleError("bundle x.safetensors is damaged: fetch it again"), "cannot configure: bundle x.safetensors is"),
        (RuntimeError("out of memory"), "cannot configure: RuntimeError: out of memory"),
    ],
)
def test_weights_that_cannot_be_loaded_leave_the_node_alive(error: Exception, sentence: str) -> None:
    problems: list[Exception] = [error]
    model = StandInModel()

    def load(parameters: Parameters) -> StandInModel:
        if problems:
            raise problems.pop()
        return model

    with Harness(load) as harness:
        assert not harness.change_state("configure")
        assert _state(harness) == "unconfigured"
        status = harness.diagnosis(sentence)
        assert status.level == b"\x02"
        harness.start()
        harness.publish(cloud(SECOND, some_points()), answered=1)
        assert len(model.frames) == 1


def test_parameters_reach_the_loader_and_are_described() -> None:
    seen: list[Parameters] = []
    model = StandInModel()

    def load(parameters: Parameters) -> StandInModel:
        seen.append(parameters)
        return model

    with Harness(load, window__min_frames=7, window__max_gap_s=2, motion__mounting=[0.0, 0.0, 1.5, 0.0, 0.0, 0.0]) as h:
        assert h.change_state("configure")
        assert (seen[0].window.min_frames, seen[0].window.max_gap_s) == (7, 2.0)
        assert seen[0].motion.mounting == (0.0, 0.0, 1.5, 0.0, 0.0, 0.0)
        request = DescribeParameters.Request(names=[spec.name for spec in SPECS])
        descriptors = h.call(DescribeParameters, "describe_parameters", request).descriptors
        for spec, descriptor in zip(SPECS, descriptors, strict=True):
            assert descriptor.description == spec.text
            assert len(descriptor.floating_point_range) == isinstance(spec.default, float)
            assert len(descriptor.integer_range) == (type(spec.default) is int)


def test_a_refused_start_value_stops_configure_until_it_is_set_anew() -> None:
    with Harness(device="gpu", window__min_frames=0, window__typo=3) as harness:
        assert not harness.change_state("configure")
        status = harness.diagnosis("cannot configure")
        assert "device: 'gpu' is refused, allowed: auto, cpu, cuda" in status.message
        assert "window.min_frames: 0 is refused, allowed: 1 to 1000" in status.message
        assert "window.typo" in {value.key: value.value for value in status.values}["warning: parameters"]
        text = {"type": ParameterType.PARAMETER_STRING, "string_value": "cpu"}
        assert _set(harness, "device", **text).successful
        assert not harness.change_state("configure")
        assert _set(harness, "window.min_frames", type=ParameterType.PARAMETER_INTEGER, integer_value=3).successful
        harness.start()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("motion__mounting", [], "motion.mounting: [] is refused, allowed: 6 numbers, each -1000 to 1000"),
        ("motion__mounting", ["a"] * 6, "motion.mounting: ['a', 'a', 'a', 'a', 'a', 'a'] is refused"),
        ("model", None, "model: an empty value is refused"),
        ("window__max_gap_s", float("nan"), "window.max_gap_s: nan is refused"),
        ("autostart", "yes", "autostart: 'yes' is refused, allowed: true, false"),
        ("torch_threads", 2**62, "torch_threads: 4611686018427387904 is refused"),
    ],
)
def test_a_bad_start_value_is_a_sentence_and_the_node_lives(name: str, value: Any, sentence: str) -> None:
    with Harness(**{name: value}) as harness:
        assert not harness.change_state("configure")
        assert sentence in harness.diagnosis("cannot configure").message
        assert _state(harness) == "unconfigured"


def test_setting_a_bad_value_is_refused_with_a_sentence(idle: Harness) -> None:
    text = {"type": ParameterType.PARAMETER_STRING}
    result = _set(idle, "device", string_value="gpu", **text)
    assert not result.successful
    assert "allowed: auto, cpu, cuda" in result.reason
    assert not _set(idle, "window.min_frames", type=ParameterType.PARAMETER_INTEGER, integer_value=-1).successful
    assert not _set(idle, "no.such", string_value="x", **text).successful
    assert idle.node.get_parameter("window.min_frames").value == Parameters().window.min_frames
    idle.start()
    result = _set(idle, "device", string_value="cpu", **text)
    assert not result.successful
    assert "deactivate and clean up" in result.reason


def test_reset_empties_the_window(running: Harness) -> None:
    running.listen_to_outputs()
    for number in range(3):
        running.publish(cloud(number * STEP, some_points()), answered=number + 1)
    assert running.call(Trigger, "reset", Trigger.Request()).success
    running.publish(cloud(3 * STEP, some_points()), answered=4)
    running.wait_until(lambda: len(running.received[ACTION]) == 4)
    assert [message.frame_count for message in running.received[ACTION]] == [1, 2, 3, 1]
    assert running.node.health.values()["last reset"] == "asked for by ~/reset"


def test_enable_false_ignores_clouds_and_says_so(running: Harness) -> None:
    assert running.call(SetBool, "enable", SetBool.Request(data=False)).success
    running.publish(cloud(STEP, some_points()))
    assert running.settled(1)["ignored"] == 1
    running.diagnosis("clouds are ignored")
    assert running.call(SetBool, "enable", SetBool.Request(data=True)).success
    running.publish(cloud(2 * STEP, some_points()), answered=1)


def test_a_second_life_counts_on_and_starts_without_warnings(running: Harness) -> None:
    running.model.delay_s = 0.3
    for number in range(4):  # the first is at hand while the others overwrite each other
        running.publish(cloud(number * STEP, some_points()))
    first = running.settled(4)
    assert first["dropped"] > 0
    assert running.call(SetBool, "enable", SetBool.Request(data=False)).success
    running.diagnosis("clouds are ignored")
    assert running.change_state("deactivate")
    assert running.change_state("cleanup")
    assert running.node.health.warnings() == []
    running.model.delay_s = 0.0
    running.start()
    running.publish(cloud(SECOND, some_points()))
    assert running.settled(5) == first | {"received": 5, "inferred": first["inferred"] + 1, "resets": 1}


def test_a_cloud_that_takes_for_ever_holds_no_transition_up_and_is_accounted_for(
    running: Harness, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ros_pointata.runtime.runtime, "PATIENCE_S", 0.2)
    running.model.delay_s = 4.0
    for number in range(3):
        running.publish(cloud(number * STEP, some_points(seed=number)))
    running.wait_until(lambda: bool(running.model.threads))
    begun = time.monotonic()
    assert running.change_state("deactivate")
    assert running.change_state("cleanup")
    assert _state(running) == "unconfigured"
    assert time.monotonic() - begun < 3.0  # of the 4 that the cloud takes
    running.model.delay_s = 0.0
    running.settled(3)  # the outputs are gone when the cloud is done: one more that was dropped
    running.start()
    running.publish(cloud(SECOND, some_points()), answered=1)
    assert "it is left to itself" in capfd.readouterr().err


def test_services_say_that_no_model_is_loaded(idle: Harness) -> None:
    for kind, name in ((Trigger, "reset"), (SetBool, "enable")):
        response = idle.call(kind, name, kind.Request())
        assert not response.success
        assert "configure the node first" in response.message


def _odometry(stamp_ns: int, x: float, child_frame: str = "sensor") -> object:
    from nav_msgs.msg import Odometry

    message = Odometry(child_frame_id=child_frame)
    message.header.stamp = ns_to_stamp(stamp_ns)
    message.pose.pose.position.x = x
    message.pose.pose.orientation.w = 1.0
    return message


def test_clouds_get_the_odometry_interpolated_at_their_stamps() -> None:
    mounting = [0.0, 0.0, 1.5, 0.0, 0.0, np.pi / 2]
    with Harness(motion__source="odometry", motion__timeout_s=2.0, motion__mounting=mounting) as harness:
        harness.start()
        harness.wait_until(lambda: harness.odometry.get_subscription_count() > 0)
        harness.odometry.publish(_odometry(0, 0.0))
        harness.publish(cloud(STEP // 4, some_points()))
        time.sleep(0.1)
        assert harness.node.health.counts()["inferred"] == 0  # waits for the next pose
        harness.odometry.publish(_odometry(STEP, 4.0))
        harness.wait_until(lambda: harness.node.health.counts()["inferred"] == 1)
        expected = [[0, -1, 0, 1.0], [1, 0, 0, 0], [0, 0, 1, 1.5], [0, 0, 0, 1]]
        assert harness.model.frames[0].T_world_sensor == pytest.approx(np.array(expected))
        assert harness.node.health.warnings() == []


def test_missing_odometry_is_never_a_silent_identity() -> None:
    with Harness(motion__source="odometry", motion__timeout_s=0.05) as harness:
        harness.start()
        harness.wait_until(lambda: harness.odometry.get_subscription_count() > 0)
        harness.publish(cloud(STEP, some_points()), answered=1)
        harness.diagnosis("no odometry has arrived")
        harness.odometry.publish(_odometry(STEP, 1.0, "base_link"))
        time.sleep(0.1)
        harness.publish(cloud(STEP, some_points(seed=1)), answered=2)
        harness.diagnosis("'base_link', the cloud of 'sensor'")
        assert harness.node.health.values()["last reset"] == "ego motion became known"
        harness.publish(cloud(2 * STEP, some_points()), answered=3)
        harness.diagnosis("the latest odometry is 0.100 s older")


def test_tf_without_tf2_ros_is_refused_at_configure() -> None:
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("tf2_ros is installed here")
    with Harness(motion__source="tf") as harness:
        assert not harness.change_state("configure")
        assert "install ros-$ROS_DISTRO-tf2-ros" in harness.diagnosis("cannot configure").message


def test_the_dds_profile_is_set_unless_the_user_chose_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from xml.etree import ElementTree

    from ros_pointata.io.dds_profile import VARIABLES, profile_path, use_large_cloud_profile

    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)  # as when a virtual environment is not sourced
    path = profile_path()
    assert path is not None
    texts = [element.text for element in ElementTree.parse(path).iter()]
    assert texts.count("4194304") == 2
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    use_large_cloud_profile()
    assert [os.environ[name] for name in VARIABLES] == [str(path)] * 2
    monkeypatch.setenv(VARIABLES[0], "/mine.xml")
    monkeypatch.setenv(VARIABLES[1], "")
    use_large_cloud_profile()
    assert [os.environ[name] for name in VARIABLES] == ["/mine.xml", ""]


def test_live_parameters_reach_the_real_model_without_emptying_its_window() -> None:
    number = {"type": ParameterType.PARAMETER_DOUBLE}
    with Harness(load_predictor, model="sim_room", action__unknown_score=0.0, window__min_frames=1) as harness:
        harness.start()
        harness.listen_to_outputs()
        points = np.random.default_rng(0).uniform((1, -3, -3), (7, 3, 3), (3000, 3)).astype(np.float32)
        for stamp in range(2):
            harness.publish(cloud(SECOND + stamp * STEP, points), answered=stamp + 1)
        assert _set(harness, "action.unknown_score", double_value=1.0, **number).successful
        assert _set(harness, "crop.max_range_m", double_value=3.0, **number).successful
        harness.publish(cloud(SECOND + 2 * STEP, points), answered=3)
        harness.wait_until(lambda: all(len(harness.received[topic]) == 3 for topic in (ACTION, SEGMENTATION)))
        messages = harness.received[ACTION]
        assert [message.frame_count for message in messages] == [1, 2, 3]
        assert [message.unknown for message in messages] == [False, False, True]
        far = np.linalg.norm(points, axis=1) > 3.0
        before, after = (decode_field(harness.received[SEGMENTATION][index], "label") for index in (1, 2))
        assert np.array_equal(after == 255, far)
        assert not (before == 255).all()
        refused = _set(harness, "crop.min_range_m", double_value=5.0, **number)
        assert not refused.successful
        assert "no point would be left" in refused.reason
        assert _set(harness, "window.max_gap_s", double_value=3.0, **number).successful
        harness.publish(cloud(SECOND + 22 * STEP, points), answered=4)  # after a gap of 2 s
        harness.publish(cloud(SECOND + 62 * STEP, points), answered=5)  # of 4 s
        harness.wait_until(lambda: len(messages) == 5)
        assert [message.frame_count for message in messages] == [1, 2, 3, 4, 1]
        assert "simulated data only" in harness.diagnosis("no complaints").message


def test_points_without_a_return_are_told_and_can_be_kept() -> None:
    with Harness(load_predictor, model="sim_room") as harness:
        harness.start()
        points = np.random.default_rng(0).uniform(1, 3, (2000, 3)).astype(np.float32)
        points[:700] = 0
        told = "points without a return in the last cloud"
        harness.publish(cloud(SECOND, points), answered=1)
        assert harness.node.health.values()[told] == "700"
        assert _set(harness, "crop.drop_zeros", type=ParameterType.PARAMETER_BOOL, bool_value=False).successful
        harness.publish(cloud(SECOND + STEP, points), answered=2)
        assert harness.node.health.values()[told] == "0"
