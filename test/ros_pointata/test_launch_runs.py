"""The launch files run: by a stand-in for `launch` everywhere, and by launch itself where there is one."""

import os
import subprocess
from pathlib import Path

import pytest
from launch_stand_in import IncludeLaunchDescription, Node, started

from ros_pointata.launch_checks import missing

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
PARAMETERS = LAUNCH.parent / "config" / "node.yaml"


@pytest.fixture
def rviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix in which RViz is installed, as the index of ament says it."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}{os.pathsep}{os.environ.get('AMENT_PREFIX_PATH', '')}")


def test_nothing_is_missing_without_rviz() -> None:
    assert missing(str(PARAMETERS), rviz=False) == ""


def test_parameters_that_do_not_exist_are_named() -> None:
    assert "params_file nowhere.yaml does not exist" in missing("nowhere.yaml", rviz=False)


def test_rviz_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert "ros-$ROS_DISTRO-rviz2" in missing(str(PARAMETERS), rviz=True)


@pytest.mark.usefixtures("rviz")
def test_rviz_that_is_installed_is_found() -> None:
    assert missing(str(PARAMETERS), rviz=True) == ""


def test_the_node_gets_model_and_motion_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    node, *_ = started(LAUNCH / "pointata.launch.py", monkeypatch, model="sim_street", motion="odometry")
    assert isinstance(node, Node)
    assert node.keywords["parameters"][1] == {"model": "sim_street", "motion.source": "odometry"}


def test_the_file_of_parameters_decides_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    node, *_ = started(LAUNCH / "pointata.launch.py", monkeypatch)
    assert len(node.keywords["parameters"]) == 1


@pytest.mark.parametrize("given", [{"params_file": "/nowhere.yaml"}, {"rviz": "true"}])
def test_nothing_starts_where_something_is_missing(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    share = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    share.mkdir(parents=True)
    (share / "ros_pointata").touch()  # a prefix with this package and no RViz
    (tmp_path / "share" / "ros_pointata").symlink_to(LAUNCH.parent)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"does not exist|is not installed"):
        started(LAUNCH / "pointata.launch.py", monkeypatch, **given)


def test_the_demo_starts_the_replay_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing ends the launch before the replay runs, which nothing would end then."""
    first, second = started(LAUNCH / "demo.launch.py", monkeypatch)
    assert isinstance(first, IncludeLaunchDescription)
    assert second.keywords["executable"] == "replay"


def test_launch_itself_starts_the_node_and_ends_it() -> None:
    pytest.importorskip("launch_ros", reason="launch_ros comes with a full ROS only")
    command = ["ros2", "launch", str(LAUNCH / "pointata.launch.py"), "model:=nope"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "no bundle 'nope'" in done.stdout + done.stderr
