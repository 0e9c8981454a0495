"""Predictions as messages of this package."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from std_msgs.msg import ColorRGBA, Header

from pointata import ActionResult, ClassInfo, Prediction
from pointata import ActionSegment as Segment
from ros_pointata.io.cloud import ns_to_stamp
from ros_pointata.msg import ActionPrediction, ActionSegment, ActionSegments, ClassInfoList, StageTimings
from ros_pointata.msg import ClassInfo as ClassInfoMsg

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time

#: Label of an action that is not known.
UNKNOWN = "unknown"


def action_message(
    header: Header, prediction: Prediction, action: ActionResult, classes: Sequence[ClassInfo]
) -> ActionPrediction:
    """The recognised action under the header of the newest cloud."""
    return ActionPrediction(
        header=header,
        window_start=ns_to_stamp(prediction.window_start_ns),
        frame_count=prediction.frame_count,
        class_id=int(action.class_id),
        label=UNKNOWN if action.unknown else classes[action.class_id].name,
        score=float(action.score),
        scores=action.scores,
        unknown=bool(action.unknown),
    )


def segments_message(
    header: Header, prediction: Prediction, segments: Sequence[Segment], classes: Sequence[ClassInfo]
) -> ActionSegments:
    """The action segments of the window under the header of the newest cloud."""
    return ActionSegments(
        header=header,
        window_start=ns_to_stamp(prediction.window_start_ns),
        frame_count=prediction.frame_count,
        segments=[
            ActionSegment(
                start=ns_to_stamp(segment.start_ns),
                end=ns_to_stamp(segment.end_ns),
                class_id=int(segment.class_id),
                label=classes[segment.class_id].name,
                score=float(segment.score),
            )
            for segment in segments
        ],
    )


def class_list_message(stamp: "Time", model: str, classes: Sequence[ClassInfo]) -> ClassInfoList:
    """The classes of a labelled topic."""
    entries = []
    for entry in classes:
        red, green, blue = (channel / 255 for channel in entry.color)
        entries.append(ClassInfoMsg(id=entry.id, name=entry.name, color=ColorRGBA(r=red, g=green, b=blue, a=1.0)))
    return ClassInfoList(header=Header(stamp=stamp), model=model, classes=entries)


def timings_message(header: Header, timings_ms: Mapping[str, float]) -> StageTimings:
    """Milliseconds per stage, in the order of the mapping."""
    return StageTimings(
        header=header, stages=list(timings_ms), milliseconds=[float(value) for value in timings_ms.values()]
    )
