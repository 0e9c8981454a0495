"""The simulator as a recording, `sim:room?seed=3&split=test&frames=100`, and as a set of many of them."""

import inspect
import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pointata.data.dataset import Dataset, Split, Video
from pointata.data.options import option_value
from pointata.data.recording import Origin, Recording
from pointata.errors import DataError
from pointata.frame import LabelledFrame


class SimulatedRecording(Recording):
    """A scene of `pointata.data.simulator`, drawn anew (and equal) at every iteration."""

    has_poses = True

    def __init__(self, spec: str, **options: Any) -> None:
        """Open a scene.

        Args:
            spec: "sim:room" or "sim:street", options after a question mark.
            options: further arguments of the simulator, as if in the spec. The seed is 0 unless given.

        Raises:
            DataError: no such scene or option.
            ConfigError: a value out of range.
            InstallationError: open3d is not installed.
        """
        from pointata.data import simulator

        scenes = {"room": simulator.RoomSimulator, "street": simulator.StreetSimulator}
        parts = urlsplit(spec)
        if parts.path not in scenes:
            raise DataError(f"{spec}: no such scene; give sim:room or sim:street")
        maker: Any = scenes[parts.path]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        arguments = {"seed": 0} | {name: option_value(value) for name, value in pairs} | options
        known = inspect.signature(maker).parameters
        unknown = sorted(set(arguments) - set(known))
        if unknown:
            raise DataError(f"{spec}: unknown option {', '.join(unknown)}; the scene has {', '.join(known)}")
        for name, value in arguments.items():
            _require_kind(f"{spec}: {name}", value, known[name].default)
        self._scene = maker(**arguments)
        self.name = f"{parts.path}_{'_'.join(f'{key}{value}' for key, value in sorted(arguments.items()))}".rstrip("_")
        video = f"{parts.path}_{arguments.get('split', 'train')}_{arguments['seed']}"  # as `simulated` calls it
        self.origin = Origin(f"simulated_{parts.path}", video, subject=video, simulated=True)
        self.rate_hz = float(self._scene.rate_hz)
        self.classes = self._scene.classes
        self.actions = getattr(self._scene, "actions", None)  # the street has none

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._scene)

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return iter(self._scene)


def _require_kind(what: str, value: Any, default: Any) -> None:
    """Refuse an option that is not of its default's kind; without one, and where that is None, a whole number."""
    if isinstance(default, str):
        fits, kind = isinstance(value, str), "a word"
    elif isinstance(default, float):
        fits, kind = isinstance(value, (int, float)) and math.isfinite(value), "a number"
    else:
        fits, kind = value is default or isinstance(value, int), "a whole number"
    if not fits or isinstance(value, bool):
        raise DataError(f"{what} must be {kind}, not {value!r}")


def simulated(scene: str, recordings: int = 100, frames: int = 150, validation: int = 8, test: int = 8) -> Dataset:
    """Recordings of the simulator; every one is another person and room, or another street.

    Args:
        scene: "room" (depth camera; actions and point labels) or "street" (LiDAR; point labels).
        recordings: training recordings, seeds 0, 1, 2, ... of the simulator's train split.
        frames: length of each, at 10 Hz.
        validation: recordings of the split "val": the seeds that follow in the simulator's train split.
        test: recordings of the simulator's test split, whose people, rooms and streets vary in other ranges.

    Raises:
        DataError: no such scene, or no training recording.
    """
    from pointata.data import simulator

    actions = {"action": simulator.ACTIONS, "segments": simulator.ACTIONS}
    heads = {
        "room": {**actions, "semantic": simulator.ROOM_CLASSES},
        "street": {"semantic": simulator.STREET_CLASSES},
    }
    if scene not in heads:
        raise DataError(f"the simulator has no scene '{scene}'; give room or street")
    if min(recordings, frames) < 1 or min(validation, test) < 0:
        raise DataError(
            f"simulated {scene}: at least 1 recording of 1 frame and no negative number, "
            f"got recordings={recordings}, frames={frames}, validation={validation}, test={test}"
        )
    parts: list[tuple[Split, Literal["train", "test"], range]] = [
        ("train", "train", range(recordings)),
        ("val", "train", range(recordings, recordings + validation)),
        ("test", "test", range(test)),
    ]
    videos = []
    for split, stream, seeds in parts:
        for seed in seeds:
            name = f"{scene}_{stream}_{seed}"
            videos.append(Video(name, partial(simulate, scene, seed, stream, frames), subject=name, split=split))
    licence = "Apache-2.0 (simulated by pointata)"
    return Dataset(f"simulated_{scene}", tuple(videos), heads[scene], 0.1, simulated=True, licence=licence)


def simulate(scene: str, seed: int, split: Literal["train", "test"], frames: int) -> Iterable[LabelledFrame]:
    """The frames of one simulated recording."""
    from pointata.data import simulator

    maker = simulator.RoomSimulator if scene == "room" else simulator.StreetSimulator
    return maker(seed, split, frames=frames)
