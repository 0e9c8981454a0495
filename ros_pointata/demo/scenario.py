"""What the demo plays: simulated scenes that no training has seen."""

from collections.abc import Sequence
from dataclasses import dataclass

#: Scenes of the split "test", which differ from those of "train" in people, ways of moving and places.
DEFAULT_SEEDS = (100, 101, 102)


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


def scenarios(seeds: Sequence[int] | None = None, frames: int | None = None, quick: bool = False) -> list[Scenario]:
    """Room, then street; None for the default length (about 75 s of replay and start-up), quick for a few seconds."""
    if quick:
        seeds = DEFAULT_SEEDS[:1] if seeds is None else seeds
        frames = 25 if frames is None else frames
    chosen = tuple(DEFAULT_SEEDS if seeds is None else seeds)
    return [
        Scenario("room", "sim_room", "none", chosen, 120 if frames is None else frames),
        Scenario("street", "sim_street", "odometry", chosen, 60 if frames is None else frames),
    ]
