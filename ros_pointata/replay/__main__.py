"""`python -m ros_pointata.replay SOURCE`, the same as `ros2 run ros_pointata replay SOURCE`."""

import sys

from ros_pointata.commands import replay

sys.exit(replay())
