"""The node, and on request a bag and RViz: ros2 launch ros_pointata pointata.launch.py input:=/points bag:=DIR."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import Node

from ros_pointata.launch_checks import missing

CONFIG = Path(get_package_share_directory("ros_pointata")) / "config"

ARGUMENTS = (
    ("input", "/points", "topic of the clouds, sensor_msgs/PointCloud2"),
    ("odometry", "/odom", "topic of the odometry, nav_msgs/Odometry; read where motion.source is odometry"),
    ("params_file", str(CONFIG / "node.yaml"), "parameters of the node"),
    ("model", "", "weight bundle, name or path; empty = the one in params_file"),
    ("motion", "", "source of ego motion: none, odometry or tf; empty = the one in params_file"),
    ("bag", "", "rosbag2 folder or file to play; empty = none"),
    ("rviz", "false", "true opens RViz on the outputs"),
    ("fixed_frame", "odom", "fixed frame of RViz; the frame_id of the clouds where there is no tf"),
    ("namespace", "", "namespace of the node"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
)


def refuse_what_is_missing(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """End the launch with a sentence, before anything runs, where a file or a package that it needs is missing."""
    rviz = IfCondition(LaunchConfiguration("rviz")).evaluate(context)
    problem = missing(LaunchConfiguration("params_file").perform(context), rviz)
    if problem:
        raise RuntimeError(problem)
    return []


def start_node(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, with model and source of ego motion from the command line where they are given."""
    given = {"model": LaunchConfiguration("model"), "motion.source": LaunchConfiguration("motion")}
    overrides = {name: value.perform(context) for name, value in given.items() if value.perform(context)}
    return [
        Node(
            package="ros_pointata",
            executable="pointata_node",
            name="pointata",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), *([overrides] if overrides else [])],
            remappings=[
                ("~/input/pointcloud", LaunchConfiguration("input")),
                ("~/input/odometry", LaunchConfiguration("odometry")),
            ],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, node, bag and RViz."""
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS),
            OpaqueFunction(function=refuse_what_is_missing),
            OpaqueFunction(function=start_node),
            ExecuteProcess(
                cmd=["ros2", "bag", "play", LaunchConfiguration("bag")],
                condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("bag"), "")),
                output="screen",
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                namespace=LaunchConfiguration("namespace"),
                arguments=["-d", str(CONFIG / "pointata.rviz"), "-f", LaunchConfiguration("fixed_frame")],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
