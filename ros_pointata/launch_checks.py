"""What a launch file can know to be missing before it starts anything. Imports no launch."""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def missing(params_file: str, rviz: bool) -> str:
    """One sentence about what the launch would stumble over; empty where nothing is missing.

    launch itself starts the node with its defaults where the file of parameters does not exist, and leaves it behind
    where RViz cannot be found.

    Args:
        params_file: path of the node's parameters.
        rviz: whether RViz is to be started.
    """
    if not Path(params_file).is_file():
        return f"params_file {params_file} does not exist: give the path of a YAML file such as config/node.yaml"
    if rviz:
        try:
            get_package_prefix("rviz2")
        except PackageNotFoundError:
            return "rviz:=true needs RViz, which is not installed: install ros-$ROS_DISTRO-rviz2, or leave rviz out"
    return ""
