"""Play a recording or the simulator as ROS topics: `ros2 run ros_pointata replay SOURCE`."""
