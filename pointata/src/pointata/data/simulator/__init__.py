"""Simulated point videos with ground truth: a person in a room, and a drive along a street.

Made by ray casting, with sensor noise, lost returns and real occlusion. Needs open3d
(`pip install open3d`; it is part of the extra `training`).
"""

from pointata.data.simulator.layout import ROOM_CLASSES
from pointata.data.simulator.motions import ACTIONS
from pointata.data.simulator.room import RoomSimulator
from pointata.data.simulator.street import StreetSimulator
from pointata.data.simulator.town import STREET_CLASSES

__all__ = ["ACTIONS", "ROOM_CLASSES", "STREET_CLASSES", "RoomSimulator", "StreetSimulator"]
