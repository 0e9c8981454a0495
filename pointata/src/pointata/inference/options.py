"""What a deployment can choose. Imports no torch."""

from dataclasses import dataclass
from typing import Literal

from pointata.errors import ConfigError
from pointata.preprocessing.preprocessor import Crop

#: Where the network runs; "auto" takes a GPU if there is one.
Device = Literal["auto", "cpu", "cuda"]
#: Arithmetic of a step. "auto" tries the others when it warms up, and keeps one that is faster and agrees.
Precision = Literal["fp32", "bf16", "fp16", "int8", "auto"]


@dataclass(frozen=True)
class PredictorOptions:
    """Settings of a deployment, apart from what the bundle fixes."""

    min_frames: int = 4
    """Frames in the window before an action is reported; until then it is unknown."""
    max_gap_s: float = 1.0
    """A longer pause between two frames empties the window, seconds."""
    min_range_m: float = 0.0
    """Nearer points are left unlabelled, metres; the bundle's own limit holds where it is stricter."""
    max_range_m: float = 0.0
    """Farther points are left unlabelled, metres; 0 for the bundle's own limit."""
    drop_zeros: bool = True
    """Points at exactly (0, 0, 0) are left out and unlabelled: what drivers write where no echo came back."""
    unknown_score: float = 0.35
    """An action below this probability is reported as unknown, as is one in a window unlike the bundle's training,
    where the bundle says how unlike; 0 for neither."""
    hysteresis_frames: int = 2
    """Frames in a row for which a new action must lead before it is reported."""

    @property
    def crop(self) -> Crop:
        """What is left out of a frame."""
        return Crop(self.min_range_m, self.max_range_m, self.drop_zeros)

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.hysteresis_frames < 1 or self.max_gap_s <= 0:
            raise ConfigError(f"min_frames and hysteresis_frames must be >= 1 and max_gap_s > 0: {self}")
        if not 0 <= self.unknown_score <= 1 or self.min_range_m < 0 or self.max_range_m < 0:
            raise ConfigError(f"unknown_score must be 0 to 1 and ranges must not be negative: {self}")
