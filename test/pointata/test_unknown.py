"""When an action is called unknown, with the shipped bundles: recordings of another world, and clutter."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pointata import Frame
from pointata.bundles.bundle import read_metadata
from pointata.data.open import open_recording
from pointata.inference.predictor import Predictor, PredictorOptions
from pointata.model.pointata import PointATA
from pointata.preprocessing.sampling import to_clip


def clutter(count: int, spread_m: float, frames: int = 30) -> Iterable[Frame]:
    """Points at random places 2 m before the sensor, new ones in every frame."""
    rng = np.random.default_rng(0)
    for number in range(frames):
        points = rng.uniform(-spread_m, spread_m, (count, 3)) + np.array([2, 0, 0])
        yield Frame.from_points(points, stamp_ns=number * 10**8, features={"doppler": rng.normal(0, 0.5, count)})


def unknown(name: str, frames: Iterable[Frame], options: PredictorOptions | None = None) -> list[bool]:
    """Of each frame from `min_frames` on."""
    runner = Predictor.load(name, device="cpu", threads=1, options=options)
    answers = [runner.step(frame) for frame in frames]
    return [a.action.unknown for a in answers if a.action is not None and a.frame_count >= runner.options.min_frames]


@pytest.mark.parametrize(("name", "count", "spread_m"), [("sim_room", 3000, 4.0), ("mars_actions", 30, 1.0)])
def test_clutter_is_unknown_unless_nothing_may_be(name: str, count: int, spread_m: float) -> None:
    said = unknown(name, clutter(count, spread_m))
    assert len(said) == 27
    assert np.mean(said) > 0.9
    assert not any(unknown(name, clutter(count, spread_m), PredictorOptions(unknown_score=0.0)))


def test_an_empty_office_shows_no_action(data_root: Path) -> None:
    """It was `bend` in every frame, with a probability of 0.43."""
    recording = open_recording(str(data_root / "seven_scenes"))
    assert all(unknown("sim_room", (item.frame for item in recording)))


def test_people_of_its_world_are_known() -> None:
    pytest.importorskip("open3d", reason="the simulator needs open3d (pip install open3d)")
    recording = open_recording("sim:room?seed=6&split=test&frames=40")
    said = unknown("sim_room", (item.frame for item in recording))
    assert np.mean(said) < 0.1


def test_the_distance_is_that_of_the_pooled_features() -> None:
    """Against the features of the whole clip, of as many frames as the window holds."""
    runner = Predictor.load("mars_actions", device="cpu", threads=1)
    frames = list(clutter(30, 1.0, frames=30))
    for frame in frames:
        runner.step(frame)
    clip = to_clip([replace(runner.prepare(f).sampled, stamp_s=f.stamp_ns * 1e-9) for f in frames])
    model = runner.network
    assert isinstance(model, PointATA)
    with torch.no_grad():
        pooled = model.encode(clip, model.initial_state(1))[0].frames[0]
    window = pooled[-(runner.metadata.window_frames - 1) :]
    assert runner._engine.distance(0) == pytest.approx(float((window.mean(dim=0) ** 2).mean()), rel=1e-4)


def test_every_bundle_with_actions_states_how_far_its_world_reaches() -> None:
    for name in ("sim_room", "mars_actions"):
        assert 0 < read_metadata(name).farthest_window < 3
