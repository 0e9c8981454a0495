"""What the demo plays: simulated scenes that no training has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Seeds of the split "test", which differs from "train" in people, ways of moving and places. The rooms are the
#: first from 100 on that add an action (of at least 1.5 s) to those before, until all eight are there.
ROOM_SEEDS = (100, 101, 102, 105)
STREET_SEEDS = (100, 101)
ROOM_FRAMES, STREET_FRAMES = 130, 50
MODELS = {"room": "sim_room", "street": "sim_street"}


@dataclass(frozen=True)
class Scenario:
    """Some scenes of one kind, and how the node is set up for them.

    Attributes:
        name: kind of scene, "room" or "street".
        model: weight bundle of the node.
        motion: where the node takes ego motion from.
        seeds: one scene each.
        frames: length of each scene.
    """

    name: str
    model: str
    motion: str
    seeds: tuple[int, ...]
    frames: int

    def source(self, seed: int) -> str:
        """What the replay plays for a seed."""
        return f"sim:{self.name}?seed={seed}&split=test&frames={self.frames}"

    @property
    def frame_count(self) -> int:
        """Frames of all scenes together."""
        return len(self.seeds) * self.frames


def scenarios(
    seeds: Sequence[int] | None = None,
    frames: int | None = None,
    quick: bool = False,
    models: Mapping[str, str] | None = None,
) -> list[Scenario]:
    """Rooms, then streets.

    Args:
        seeds: scenes of both kinds; None for the usual ones.
        frames: length of every scene; None for the usual one.
        quick: one short scene of each kind where nothing else is asked for.
        models: bundles by kind of scene, in place of the shipped ones.
    """
    room = ROOM_SEEDS[:1] if quick else ROOM_SEEDS
    street = STREET_SEEDS[:1] if quick else STREET_SEEDS
    length = {"room": 25 if quick else ROOM_FRAMES, "street": 25 if quick else STREET_FRAMES}
    used = {**MODELS, **(models or {})}
    return [
        Scenario("room", used["room"], "odometry", tuple(seeds or room), frames or length["room"]),
        Scenario("street", used["street"], "odometry", tuple(seeds or street), frames or length["street"]),
    ]
