"""The simulator into the node, RViz on request: ros2 launch ros_pointata demo.launch.py scene:=street rviz:=true."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

LAUNCH = Path(get_package_share_directory("ros_pointata")) / "launch"

ARGUMENTS = (
    ("scene", "room", "room (a person acts before a depth camera) or street (a LiDAR drives among cars and people)"),
    ("seed", "7", "number of the scene; any integer"),
    ("rviz", "false", "true opens RViz on the outputs"),
)


def generate_launch_description() -> LaunchDescription:
    """pointata.launch.py with the model for the scene, and the simulator replayed to it."""
    scene, seed = LaunchConfiguration("scene"), LaunchConfiguration("seed")
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS),
            # first: it refuses what is missing before anything runs
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(LAUNCH / "pointata.launch.py")),
                launch_arguments={
                    "input": "/points",
                    "odometry": "/odom",
                    "motion": "odometry",
                    "fixed_frame": "sensor",
                    "model": ["sim_", scene],
                    "rviz": LaunchConfiguration("rviz"),
                }.items(),
            ),
            Node(
                package="ros_pointata",
                executable="replay",
                arguments=[
                    ["sim:", scene, "?seed=", seed, "&split=test"],
                    *("--topic", "/points", "--odometry-topic", "/odom", "--frame-id", "sensor"),
                    # the pose jumps back with the scene, which the node can only know from stamps that do so, too
                    *("--loop", "--stamps", "recorded"),
                ],
                output="screen",
                on_exit=Shutdown(reason="the replay ended"),
            ),
        ]
    )
