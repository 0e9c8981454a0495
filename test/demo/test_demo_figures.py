"""Matching by stamp and the figures of a demo run, on synthetic records."""

import json
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from demo.cli import write_results
from demo.live import line, snapshot
from demo.played import Played, problems
from demo.record import ActionAnswer, ScenarioRecord
from demo.scenario import Scenario, scenarios
from demo.scoring import score, summarise
from pointata.classes import class_list

CLASSES = class_list(("floor", (10, 200, 10)), ("person", (200, 10, 10)))
ACTIONS = class_list(("stand", (90, 90, 90)), ("walk", (10, 10, 200)))
XYZ = np.array([[1, 0, 0], [2, 0, 0], [np.nan, np.nan, np.nan], [3, 1, 0]], np.float32)
TRUTH = np.array([0, 1, 255, 1], np.uint8)
MS = 1_000_000


def new_record(name: str = "room") -> ScenarioRecord:
    record = ScenarioRecord(name, picture_stride=1)
    record.set_classes(CLASSES)
    record.set_actions(ACTIONS)
    record.begin_play(0)
    return record


def answer(class_id: int, frame_count: int, start: int = 0, unknown: bool = False) -> ActionAnswer:
    return ActionAnswer(class_id, 0.9, unknown, start, frame_count)


def fill(record: ScenarioRecord, stamp: int, predicted: list[int], said: ActionAnswer, true_action: int) -> None:
    record.add_true_action(stamp, true_action)
    record.add_cloud(stamp, stamp + MS, "lidar", XYZ, TRUTH)
    record.add_action(stamp, stamp + 5 * MS, said)
    record.add_labels(stamp, stamp + 9 * MS, XYZ, np.array(predicted, np.uint8))


def played(record: ScenarioRecord, frames: int, received: int | None = None) -> Played:
    record.node_counts["received"] = len(record.sent_frames) if received is None else received
    return Played(Scenario(record.name, "m", "none", (100,), frames), record, min_frames=2, late_frames=0)


def test_figures_of_a_hand_case() -> None:
    record = new_record()
    fill(record, 100, [0, 1, 255, 1], answer(0, 1), 0)  # window too short: its action does not count
    fill(record, 200, [0, 0, 255, 1], answer(0, 2, start=100), 0)  # right
    fill(record, 300, [0, 1, 255, 255], answer(0, 3, start=100), 1)  # newest: wrong; majority of the window: right
    fill(record, 400, [0, 1, 255, 1], answer(1, 4, start=100, unknown=True), 1)  # unknown: wrong twice
    record.add_true_action(500, 1)
    record.add_cloud(500, 500 + MS, "lidar", XYZ, TRUTH)  # not answered
    record.add_timings(200, {"decode": 1.0, "model": 4.0})
    record.end_play([100, 200, 300, 400, 500])

    record.node_counts.update(received=5, inferred=4, dropped=1)
    part = score(record, min_frames=2)
    summary = summarise([part])
    for figures in (summary, summary["room"]):
        counts = [figures[f"frames_{name}"] for name in ("received", "lost", "overwritten")]
        assert counts == [5, 0, 1]
    assert (summary["frames_sent"], summary["frames_inferred"], summary["frames_dropped"]) == (5, 4, 1)
    assert summary["action_accuracy"] == pytest.approx(1 / 3)
    assert summary["action_accuracy_window"] == pytest.approx(2 / 3)
    assert summary["room"]["action_frames_scored"] == 3
    # floor: 4 hits, 1 false positive; person: 6 hits of 8, none false
    assert summary["per_class_iou"] == pytest.approx({"room/floor": 4 / 5, "room/person": 6 / 8})
    assert summary["segmentation_miou_present"] == pytest.approx((4 / 5 + 6 / 8) / 2)
    assert summary["room"]["per_class_iou"] == pytest.approx({"floor": 4 / 5, "person": 6 / 8})
    assert summary["latency_ms"] == pytest.approx({"p50": 8.0, "p99": 8.0})  # to the last answer, the labels
    assert summary["room"]["stages_ms"]["model"] == {"p50": 4.0, "p99": 4.0}
    assert np.isnan(part.latencies_ms[4])
    assert problems([played(record, 5)]) == []


def test_order_of_arrival_does_not_matter() -> None:
    def steps(record: ScenarioRecord) -> list[Callable[[], None]]:
        return [
            lambda: record.add_true_action(100, 1),
            lambda: record.add_cloud(100, 100, "lidar", XYZ, TRUTH),
            lambda: record.add_action(100, 200, answer(1, 5)),
            lambda: record.add_labels(100, 300, XYZ, TRUTH),
        ]

    for order in permutations(range(4)):
        record = new_record()
        for index in order:
            steps(record)[index]()
        record.end_play([100])
        summary = score(record, 1).summary()
        assert summary["segmentation_miou_present"] == 1
        assert summary["action_accuracy"] == 1
        assert summary["latency_ms"]["p50"] == pytest.approx(200 / 1e6)


def test_equal_stamps_of_two_scenes_are_kept_apart() -> None:
    record = new_record()
    fill(record, 100, [0, 1, 255, 1], answer(0, 5), 0)
    record.end_play([100])
    record.begin_play(1)
    fill(record, 100, [1, 0, 255, 0], answer(0, 5), 1)
    record.end_play([100])
    summary = score(record, 1).summary()
    assert summary["frames_inferred"] == 2
    assert summary["action_accuracy"] == 0.5
    assert summary["per_class_iou"] == pytest.approx({"floor": 1 / 4, "person": 2 / 5})


def test_model_without_actions_has_no_action_figures() -> None:
    record = ScenarioRecord("street")
    record.set_classes(CLASSES)
    record.add_cloud(100, 100, "lidar", XYZ, TRUTH)
    record.add_labels(100, 200, XYZ, TRUTH)
    record.end_play([100])
    assert record.is_answered(0, 100)
    summary = summarise([score(record, 2)])
    assert summary["action_accuracy"] is None
    assert summary["street"]["segmentation_miou_present"] == 1


def test_all_points_of_both_scenarios_count_class_by_class() -> None:
    room, street = new_record("room"), new_record("street")
    fill(room, 100, [0, 1, 255, 1], answer(0, 5), 0)
    fill(street, 100, [1, 1, 255, 1], answer(0, 5), 0)
    for record in (room, street):
        record.end_play([100])
    summary = summarise([score(room, 1), score(street, 1)])
    expected = {"room/floor": 1, "room/person": 1, "street/floor": 0, "street/person": 2 / 3}
    assert summary["per_class_iou"] == pytest.approx(expected)
    assert summary["segmentation_miou_present"] == pytest.approx(np.mean(list(expected.values())))


def test_incomplete_runs_are_told() -> None:
    silent = new_record()
    silent.add_cloud(100, 100, "lidar", XYZ, TRUTH)
    silent.end_play([100])
    assert problems([played(silent, 1)]) == ["room: the node answered none of the 1 frames"]

    short = new_record()
    fill(short, 100, [0, 1, 255, 1], answer(0, 5), 0)
    short.end_play([100])
    assert problems([played(short, 2)]) == ["room: 1 frames were sent instead of 2"]

    strange = new_record()
    fill(strange, 100, [0, 1, 255, 1], answer(0, 5), 0)
    strange.add_action(150, 160, answer(0, 5))
    strange.end_play([100])
    told = problems([played(strange, 1)])
    assert any("stamp that was never sent" in sentence for sentence in told)
    assert any("did not reach the recorder" in sentence for sentence in told)


def test_frames_lost_before_the_node_and_labels_lost_after_it_are_told() -> None:
    record = new_record()
    fill(record, 100, [0, 1, 255, 1], answer(0, 5), 0)
    record.add_cloud(200, 200, "lidar", XYZ, TRUTH)
    record.add_action(200, 300, answer(0, 5))
    record.add_cloud(300, 300, "lidar", XYZ, TRUTH)
    record.end_play([100, 200, 300])
    assert problems([played(record, 3, received=2)]) == [
        "room: 3 frames were sent, but 2 reached the node",
        "room: 1 answered frames have an action, but no labelled cloud",
    ]
    assert score(record, 1).lost == 1


@pytest.mark.parametrize(
    ("xyz", "labels"),
    [(XYZ[:3], [0, 1, 255]), (XYZ[::-1], [0, 1, 255, 1]), (XYZ, [0, 7, 255, 1])],
    ids=["lost point", "other order", "no such class"],
)
def test_labels_that_do_not_fit_their_cloud_are_a_fault(xyz: np.ndarray, labels: list[int]) -> None:
    record = new_record()
    record.add_cloud(100, 100, "lidar", XYZ, TRUTH)
    record.add_labels(100, 200, np.ascontiguousarray(xyz), np.array(labels, np.uint8))
    record.end_play([100])
    assert len(record.faults) == 1
    assert problems([played(record, 1)]) == record.faults


def test_classes_of_scene_and_model_must_agree() -> None:
    record = new_record()
    record.check_truth("classes", CLASSES)
    assert record.faults == []
    record.check_truth("actions", class_list(("walk", (0, 0, 0)), ("stand", (0, 0, 0))))
    assert len(record.faults) == 1
    assert "walk" in record.faults[0]


def test_pictures_are_taken_at_the_stride_and_hold_valid_points_only() -> None:
    record = ScenarioRecord("room", picture_stride=4)
    record.set_classes(CLASSES)
    for stamp in range(8):
        record.add_cloud(stamp, stamp, "lidar", XYZ, TRUTH)
        record.add_labels(stamp, stamp + 1, XYZ, TRUTH)
    assert [picture.stamp_ns for picture in record.pictures] == [2, 6]
    assert record.pictures[0].points.shape == (3, 3)
    assert record.pictures[0].truth.tolist() == [0, 1, 1]


def test_snapshot_and_line_show_the_newest_whole_answer() -> None:
    record = new_record()
    first = line(snapshot(record, "room, seed 1"))
    assert "no labels yet" in first
    assert "action" not in first
    fill(record, 100, [0, 1, 255, 1], answer(1, 5), 0)
    record.add_cloud(200, 200, "lidar", XYZ, TRUTH)
    record.add_action(200, 300, answer(0, 5))  # its labels are still under way
    text = line(snapshot(record, "room, seed 1"))
    assert "action walk (0.90), truth stand" in text
    assert "person 2, floor 1" in text
    assert "sent 2, inferred 2, dropped 0" in text
    record.add_cloud(300, 300, "lidar", XYZ, TRUTH)
    assert "sent 3, inferred 2, dropped 0" in line(snapshot(record, "room"))  # its answer may still come
    fill(record, 400, [0, 1, 255, 1], answer(1, 5), 0)
    assert "sent 4, inferred 3, dropped 1" in line(snapshot(record, "room"))


def test_results_are_written_as_json_and_page(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("matplotlib")
    record = new_record()
    for stamp in range(1, 9):
        fill(record, stamp * 100 * MS, [0, 1, 255, 1], answer(0, stamp, start=100 * MS), 0)
    record.end_play([stamp * 100 * MS for stamp in range(1, 9)])
    written = write_results([played(record, 8)], tmp_path, 1.0)

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no JSON")

    read = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert read == written
    assert read["frames_inferred"] == 8
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(record.pictures)
    assert "100.0 %" in page


def test_scenarios_can_be_chosen() -> None:
    room, street = scenarios(seeds=[7, 9], frames=30, models={"street": "mine.safetensors"})
    assert room.source(7) == "sim:room?seed=7&split=test&frames=30"
    assert (room.model, street.model) == ("sim_room", "mine.safetensors")
    assert street.frame_count == 60
    assert all(part.frame_count <= 25 for part in scenarios(quick=True))


def test_default_rooms_are_the_first_that_show_every_action() -> None:
    pytest.importorskip("open3d")
    from pointata.data.simulator import ACTIONS as SIMULATED
    from pointata.data.simulator import RoomSimulator

    room = scenarios()[0]
    shown: set[int] = set()
    chosen = []
    for seed in range(100, max(room.seeds) + 1):
        counts = np.bincount(RoomSimulator(seed, "test", room.frames)._performance.actions, minlength=8)
        actions = set(np.flatnonzero(counts >= 15).tolist())
        if not actions <= shown:
            chosen.append(seed)
            shown |= actions
    assert tuple(chosen) == room.seeds
    assert shown == {entry.id for entry in SIMULATED}
