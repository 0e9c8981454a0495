"""The page about a run, put together from the parts of pointata.evaluation. Imports no ROS."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from demo.played import Played
from demo.record import FrameRecord, Picture, ScenarioRecord
from demo.scoring import ScenarioScore
from pointata.report.charts import bands_of, latency_chart, timeline
from pointata.report.page import Page
from pointata.report.pictures import birds_eye_pair, camera_pair, forward_axes, lifted
from pointata.report.tables import confusion_table, facts_table, iou_table, legend, percent, stage_table

_STREET_REACH_M = 25.0
_PERIOD_S = 0.1  # of both simulated sensors


def render(played: Sequence[Played], scores: Sequence[ScenarioScore], summary: dict[str, Any], rate: float) -> str:
    """The page as one HTML document."""
    page = Page(
        "Point-cloud video, understood live",
        "Simulated scenes that no training has seen, replayed over DDS to a running node; every figure below comes "
        "from what the node published, matched by stamp.",
    )
    page.tiles(_tiles(summary))
    for part, figures in zip(played, scores, strict=True):
        _scenario_sections(page, part, figures)
    _latency_section(page, scores)
    page.section("What was run", facts_table([*_frame_facts(scores), *_facts(played, rate)]))
    return page.render()


def _tiles(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    latency = summary["latency_ms"]

    def share(name: str) -> str:
        value = summary[name]
        return percent(float("nan") if value is None else value)

    def milliseconds(value: float | None) -> str:
        return "n/a" if value is None else f"{value:.0f} ms"

    return [
        (share("action_accuracy"), "action accuracy", "frames, against the truth of the newest one"),
        (share("segmentation_miou_present"), "segmentation mIoU", "all classes of room and street"),
        (milliseconds(latency["p50"]), "latency, median", f"publish to label; p99 {milliseconds(latency['p99'])}"),
        (f"{summary['frames_inferred']:,}", "frames answered", f"of {summary['frames_sent']:,} sent"),
        (f"{summary['frames_dropped']:,}", "frames dropped", "sent and not answered"),
    ]


def _scenario_sections(page: Page, part: Played, figures: ScenarioScore) -> None:
    name, record = part.scenario.name.capitalize(), part.record
    if record.pictures:
        page.section(
            f"{name}: labels on every point",
            legend(lifted(record.classes)) + _pictures(record, part.scenario.seeds),
            "Truth on the left, the node's labels on the right. From above, forward is up and the triangle is the "
            "sensor; dark grey points carry no label.",
        )
    if figures.action is not None and figures.action_window is not None:
        timelines = "".join(_timeline(record, number, seed) for number, seed in enumerate(part.scenario.seeds))
        page.section(f"{name}: action over time", legend(record.actions) + timelines, _action_note(part, figures))
        page.section(
            f"{name}: which action is taken for which",
            confusion_table(figures.action, "unknown"),
            "Per cent of the frames with that true action (support: number of frames).",
        )
    if figures.segmentation is not None:
        page.section(f"{name}: segmentation by class", iou_table(figures.segmentation, record.classes))
        page.section(
            f"{name}: which class is taken for which",
            confusion_table(figures.segmentation, "unlabelled"),
            "Per cent of the points with that true class (support: number of points).",
        )


def _action_note(part: Played, figures: ScenarioScore) -> str:
    summary = figures.summary()
    newest, window = (summary[name] for name in ("action_accuracy", "action_accuracy_window"))
    if newest is None or window is None:
        return "No frame could be scored."
    return (
        f"{percent(newest)} of {summary['action_frames_scored']} frames agree with the truth of the newest frame, "
        f"{percent(window)} with the majority truth of the published window; unknown counts as wrong. Windows of fewer "
        f"than {part.min_frames} frames are left out. A prediction looks back over its window, so that it follows a "
        "change of action by a few frames."
    )


def _pictures(record: ScenarioRecord, seeds: Sequence[int]) -> str:
    figures = []
    for picture in record.pictures:
        points = forward_axes(picture.points, picture.frame_id)
        optical = "optical" in picture.frame_id
        caption = f"seed {seeds[picture.play]}, {_seconds_into_play(record, picture):.1f} s"
        arguments = (points, picture.truth, picture.predicted, lifted(record.classes))
        if optical:
            figures.append(camera_pair(*arguments, caption=f"{caption}, as the camera sees it"))
        reach = None if optical else _STREET_REACH_M
        figures.append(birds_eye_pair(*arguments, reach_m=reach, caption=f"{caption}, from above"))
    return f'<div class="pictures">{"".join(figures)}</div>'


def _seconds_into_play(record: ScenarioRecord, picture: Picture) -> float:
    return (picture.stamp_ns - record.sent[picture.play][0]) / 1e9


def _timeline(record: ScenarioRecord, play: int, seed: int) -> str:
    stamps = record.sent[play]
    frames = [record.frames.get((play, stamp), FrameRecord(play, stamp)) for stamp in stamps]
    times = [(stamp - stamps[0]) / 1e9 for stamp in stamps]
    answers = [None if f.action is None or f.action.unknown else f.action.class_id for f in frames]
    truth = bands_of(times, [frame.true_action for frame in frames], _PERIOD_S)
    predicted = bands_of(times, answers, _PERIOD_S)
    return f"<h3>seed {seed}</h3>{timeline(f'seed {seed}', truth, predicted, record.actions)}"


def _latency_section(page: Page, scores: Sequence[ScenarioScore]) -> None:
    body = []
    for part in scores:
        latency = part.latency_ms
        body.append(f"<h3>{part.name}, publish to label</h3>")
        body.append(latency_chart(part.name, np.array(part.latencies_ms), latency["p50"], latency["p99"]))
    tables = "".join(
        f"<div><h3>{part.name}, inside the node</h3>{stage_table(part.stages_ms)}</div>" for part in scores
    )
    body.append(f'<div class="columns">{tables}</div>')
    page.section(
        "Latency",
        "".join(body),
        "From the moment the replay publishes a cloud to the arrival of its last answer at a subscriber in a third "
        "process, by DDS time stamps on one machine. Simulator, node and recorder share the cores.",
    )


def _frame_facts(scores: Sequence[ScenarioScore]) -> list[tuple[str, str]]:
    return [
        (
            f"{part.name}, frames",
            f"{part.sent} sent by the replay, {part.received} received by the node ({part.lost} lost between them), "
            f"{part.overwritten} overwritten by a newer one while the model was busy, {part.inferred} answered",
        )
        for part in scores
    ]


def _facts(played: Sequence[Played], rate: float) -> list[tuple[str, str]]:
    facts = [
        (
            part.scenario.name,
            f"model {part.scenario.model}; split test, seeds {', '.join(map(str, part.scenario.seeds))}, "
            f"{part.scenario.frames} frames each; ego motion: {part.scenario.motion}; "
            f"{part.late_frames} frames sent late",
        )
        for part in played
    ]
    packages = ("pointata", "ros_pointata", "torch", "numpy", "ros-jazzy-rclpy", "ros-jazzy-rmw-fastrtps-cpp")
    installed = [f"{name} {found}" for name in packages if (found := _version(name))]
    return [
        *facts,
        ("replay speed", f"{rate:g} times the sensors' 10 Hz"),
        ("machine", f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"),
        ("software", f"Python {platform.python_version()}, {', '.join(installed)}"),
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for entry in information.read_text().splitlines():
            if entry.startswith("model name"):
                return entry.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
