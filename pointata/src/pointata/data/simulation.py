"""The simulator as a recording: `sim:room?seed=3&split=test&frames=100`."""

import inspect
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pointata.data.recording import Recording, option_value
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
            ConfigError: a value out of range, or open3d is not installed.
        """
        from pointata.data import simulator

        scenes = {"room": simulator.RoomSimulator, "street": simulator.StreetSimulator}
        parts = urlsplit(spec)
        if parts.path not in scenes:
            raise DataError(f"{spec}: no such scene; give sim:room or sim:street")
        maker: Any = scenes[parts.path]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        arguments = {"seed": 0} | {name: option_value(value) for name, value in pairs} | options
        known = [name for name in inspect.signature(maker).parameters if name != "self"]
        unknown = sorted(set(arguments) - set(known))
        if unknown:
            raise DataError(f"{spec}: unknown option {', '.join(unknown)}; the scene has {', '.join(known)}")
        try:
            self._scene = maker(**arguments)
        except (TypeError, ValueError) as error:
            raise DataError(f"{spec}: {error}") from error
        self.name = f"{parts.path}_{'_'.join(f'{key}{value}' for key, value in sorted(arguments.items()))}".rstrip("_")
        self.rate_hz = float(self._scene.rate_hz)
        self.classes = self._scene.classes
        self.actions = getattr(self._scene, "actions", None)  # the street has none

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._scene)

    def __iter__(self) -> Iterator[LabelledFrame]:
        """The frames from first to last."""
        return iter(self._scene)
