"""A finished scenario, and whether it was complete. Imports no ROS."""

from collections.abc import Sequence
from dataclasses import dataclass

from demo.record import ScenarioRecord
from demo.scenario import Scenario


@dataclass(frozen=True)
class Played:
    """A finished scenario.

    Attributes:
        scenario: what was played.
        record: what was sent and answered.
        min_frames: the node's parameter window.min_frames.
        late_frames: frames that the replay sent late.
    """

    scenario: Scenario
    record: ScenarioRecord
    min_frames: int
    late_frames: int


def problems(played: Sequence[Played]) -> list[str]:
    """Why a run was not complete, as sentences; empty where it was."""
    found = []
    for part in played:
        name, record = part.scenario.name, part.record
        found += list(dict.fromkeys(record.faults))
        sent = record.sent_frames
        answered = [key for key, frame in record.frames.items() if frame.answered_ns is not None]
        if len(sent) != part.scenario.frame_count:
            found.append(f"{name}: {len(sent)} frames were sent instead of {part.scenario.frame_count}")
        received = record.node_counts["received"]
        if received != len(sent):
            found.append(f"{name}: {len(sent)} frames were sent, but {received} reached the node")
        if not answered:
            found.append(f"{name}: the node answered none of the {len(sent)} frames")
        strangers = set(answered) - set(sent)
        if strangers:
            found.append(f"{name}: {len(strangers)} answers carry a stamp that was never sent")
        unseen = sum(record.frames[key].published_ns is None for key in answered)
        if unseen:
            found.append(f"{name}: {unseen} answered clouds did not reach the recorder, so their truth is missing")
        unlabelled = sum(frame.action is not None and frame.labelled is None for frame in record.frames.values())
        if record.classes and unlabelled:
            found.append(f"{name}: {unlabelled} answered frames have an action, but no labelled cloud")
    return found
