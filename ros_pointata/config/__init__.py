"""The parameters, and their declaration to ROS."""
