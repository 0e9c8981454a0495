"""The demo as a whole: processes, the running node, DDS, page and summary."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import demo
from demo.cli import build_parser
from pointata.bundles.catalogue import shipped_bundles

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("open3d", reason="needs open3d, for the simulator")
pytest.importorskip("matplotlib", reason="needs matplotlib, for the page")

FRAMES = 15
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(demo.__file__).parents[1])}


def run_demo(out: Path, *options: str, timeout_s: float = 240.0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", "--out", str(out), *options]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name the bundles: the shipped ones, or untrained ones where none are shipped."""
    if {"sim_room", "sim_street"} <= set(shipped_bundles()):
        return []
    from pointata.bundles.adapter import save_bundle
    from pointata.bundles.adapter_metadata import AdapterMetadata
    from pointata.data.simulator import ACTIONS, ROOM_CLASSES, STREET_CLASSES
    from pointata.model.config import preset
    from pointata.model.pointata import PointATA
    from pointata.preprocessing.sampling import SamplingConfig

    folder = tmp_path_factory.mktemp("bundles")
    options = []
    for kind, heads in (
        ("room", {"action": ACTIONS, "semantic": ROOM_CLASSES}),
        ("street", {"semantic": STREET_CLASSES}),
    ):
        network = preset("tiny", heads={task: len(classes) for task, classes in heads.items()})
        metadata = AdapterMetadata(
            name=f"untrained_{kind}",
            network=network,
            sampling=SamplingConfig(),
            heads=heads,
            frame_period_s=0.1,
            backbone=f"untrained_{kind}_backbone",
        )
        options += ["--model", f"{kind}={save_bundle(folder, PointATA(network), metadata)}"]
    return options


def test_room_and_street_are_answered_and_told(tmp_path: Path, models: list[str]) -> None:
    result = run_demo(tmp_path, "--quick", "--frames", str(FRAMES), *models)
    assert result.returncode == 0, result.stdout + result.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["frames_sent"] == 2 * FRAMES
    assert 0 < summary["frames_inferred"] == summary["frames_sent"] - summary["frames_dropped"]
    for part in ("room", "street"):
        section = summary[part]
        assert section["frames_sent"] == section["frames_received"] == FRAMES
        assert section["frames_lost"] == 0
        assert section["frames_inferred"] + section["frames_overwritten"] == FRAMES
        assert 0 < section["latency_ms"]["p50"] <= section["latency_ms"]["p99"]
        assert section["stages_ms"]["total"]["p50"] <= section["latency_ms"]["p50"]
        assert sum(section["per_class_points"].values()) > 10_000 * section["frames_inferred"]
        assert 0 <= section["segmentation_miou_present"] <= 1
    assert set(summary["per_class_iou"]) == {
        f"{p}/{n}" for p in ("room", "street") for n in summary[p]["per_class_iou"]
    }
    assert summary["room"]["action_frames_scored"] > 0
    assert summary["action_accuracy"] == summary["room"]["action_accuracy"]
    assert summary["street"]["action_accuracy"] is None
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    assert "room, seed 100" in result.stdout


def test_model_that_cannot_be_loaded_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--quick", "--model", f"room={tmp_path / 'none.safetensors'}")
    assert result.returncode == 1
    assert "refused the transition 'configure'" in result.stderr
    assert "none.safetensors" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "summary.json").exists()


def children_of(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.is_file():
        pytest.skip("this system does not list the children of a process in /proc")
    return [int(child) for child in listing.read_text().split()]


@pytest.mark.parametrize(
    ("victim", "sign", "status", "sentence"),
    [("node", signal.SIGKILL, 1, "the node ended with status -9"), ("demo", signal.SIGTERM, 130, "demo: interrupted")],
)
def test_a_broken_run_ends_all_processes(
    tmp_path: Path, models: list[str], victim: str, sign: signal.Signals, status: int, sentence: str
) -> None:
    command = [sys.executable, "-m", "demo", "--out", str(tmp_path), "--frames", "300", *models]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stdout is not None
        while "is active" not in (said := running.stdout.readline()):
            assert said, running.communicate()
        started = children_of(running.pid)
        os.kill(started[0] if victim == "node" else running.pid, sign)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == status
    assert sentence in errors
    assert "Traceback" not in errors
    assert started
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize(
    "options", [["--seeds", "1,1"], ["--seeds", "-1"], ["--frames", "0"], ["--rate", "0"], ["--model", "attic=x"]]
)
def test_bad_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(options)
    assert options[0] in capsys.readouterr().err


def test_no_terminal_means_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from demo.live import Display

    with Display() as display:
        display.say("a step")
    assert capsys.readouterr().out == "a step\n"
