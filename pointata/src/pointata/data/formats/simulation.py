"""The simulator: `sim:room?seed=3&split=test&frames=100` is one recording, `sim:room?recordings=20` a set of them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any, Literal

from pointata.data.dataset import Dataset, Split, Video
from pointata.data.layout import Layout
from pointata.data.recording import Origin, Recording
from pointata.data.spec import Spec
from pointata.errors import DataError
from pointata.frame import LabelledFrame


class SimulatedRecording(Recording):
    """A scene of `pointata.data.simulator`, drawn again (the same) at every iteration."""

    has_poses = True

    def __init__(self, scene: str, seed: int = 0, **options: Any) -> None:
        """Open a scene.

        Args:
            scene: "room" or "street".
            seed: of all that is random.
            options: further arguments of the simulator.

        Raises:
            DataError: no such scene.
            ConfigError: a value out of range.
            InstallationError: open3d is not installed.
        """
        self._scene = _simulator(scene)(seed, **options)
        stated = {"seed": seed, **options}
        values = {key: f"{value:g}" if isinstance(value, float) else value for key, value in stated.items()}
        self.name = f"{scene}_{'_'.join(f'{key}{value}' for key, value in sorted(values.items()))}"
        video = f"{scene}_{options.get('split', 'train')}_{seed}"  # as `simulated` calls it
        self.origin = Origin(f"simulated_{scene}", video, subject=video, simulated=True)
        self.rate_hz = float(self._scene.rate_hz)
        self.classes = self._scene.classes
        self.actions = getattr(self._scene, "actions", None)  # the street has none
        self.other_classes = getattr(self._scene, "other_classes", {})  # the room has none

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._scene)

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return iter(self._scene)


def _simulator(scene: str) -> Any:
    """The class of a scene."""
    from pointata.data import simulator

    scenes = {"room": simulator.RoomSimulator, "street": simulator.StreetSimulator}
    if scene not in scenes:
        raise DataError(f"the simulator has no scene '{scene}'; give room or street")
    return scenes[scene]


def _options(spec: Spec) -> Mapping[str, Parameter]:
    """Those of the simulator, and the seed, which is 0 unless given."""
    known = signature(_simulator(spec.target)).parameters
    return {**known, "seed": known["seed"].replace(default=0)}


def simulated(scene: str, recordings: int, frames: int = 150, validation: int = 8, test: int = 8) -> Dataset:
    """Recordings of the simulator; every one is another person and room, or another street.

    Args:
        scene: "room" (depth camera; actions and point labels) or "street" (LiDAR; point labels, and which points move).
        recordings: training recordings, seeds 0, 1, 2, ... of the simulator's train split.
        frames: length of each, at 10 Hz.
        validation: recordings of the split "val": the seeds that follow in the simulator's train split.
        test: recordings of the simulator's test split, whose people, rooms and streets vary in other ranges.

    Raises:
        DataError: no such scene, or no training recording.
    """
    scene_class = _simulator(scene)
    heads = {"semantic": scene_class.classes}
    if hasattr(scene_class, "actions"):
        heads = {"action": scene_class.actions, "segments": scene_class.actions, **heads}
    heads |= getattr(scene_class, "other_classes", {})
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
            source = partial(simulate, scene, seed, stream, frames)
            videos.append(Video(name, source, subject=name, split=split, has_poses=True))
    licence = "Apache-2.0 (simulated by pointata)"
    return Dataset(f"simulated_{scene}", tuple(videos), heads, 0.1, simulated=True, licence=licence)


def simulate(scene: str, seed: int, split: Literal["train", "test"], frames: int) -> Iterable[LabelledFrame]:
    """One simulated recording; sampled copies on disk are found again by this function's name and arguments."""
    return SimulatedRecording(scene, seed, split=split, frames=frames)


RECORDING = Layout(
    "sim",
    "nothing on disk: the simulator's room or street, as in sim:room?seed=3&split=test&frames=100",
    SimulatedRecording,
    on_disk=False,
    options_for=_options,
)
DATASET = Layout(
    "sim", "nothing on disk: room or street, as in sim:room?recordings=20&frames=100", simulated, on_disk=False
)
