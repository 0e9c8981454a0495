"""PointATA's preprocessor: sampled points in, their labels out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pointata.frame import Frame
from pointata.model.state import Clip
from pointata.prediction import PointLabels
from pointata.preprocessing.label_upsampling import upsample_labels
from pointata.preprocessing.point_ops.ops import PointOps
from pointata.preprocessing.preprocessor import Crop
from pointata.preprocessing.sampling import SampledFrame, SamplingConfig, sample_frame, to_clip


@dataclass(frozen=True)
class PointSampler:
    """A `Preprocessor` by `sample_frame` and `upsample_labels`.

    Attributes:
        sampling: how.
        features: channels that the network takes.
        drop_zeros: see `Crop`.
        ops: who samples and searches.
    """

    sampling: SamplingConfig
    features: tuple[str, ...]
    drop_zeros: bool
    ops: PointOps

    def prepare(self, frame: Frame) -> SampledFrame:
        """See `sample_frame`."""
        return sample_frame(frame, self.sampling, self.features, self.ops, self.drop_zeros)

    def inputs(self, prepared: SampledFrame, elapsed_s: float) -> Clip:
        """The sampled points as a clip of one frame."""
        return to_clip([replace(prepared, stamp_s=elapsed_s)])

    def upsample(
        self, frame: Frame, prepared: SampledFrame, scores: Mapping[str, NDArray[np.float32]]
    ) -> dict[str, PointLabels]:
        """See `upsample_labels`."""
        return upsample_labels(frame, prepared, scores, self.ops)

    def made_up(self, number: int) -> Frame:
        """Points within the limits of range."""
        rng = np.random.default_rng(number)
        nearest, farthest = self.sampling.min_range_m, self.sampling.max_range_m
        count = 4 * self.sampling.points  # more than are sampled
        points = rng.normal(0, 1, (count, 3))
        reach = rng.uniform(1.1 * max(nearest, 0.5), 0.9 * farthest if farthest else 3 * nearest + 20, (count, 1))
        pose = np.eye(4)
        pose[0, 3] = 0.1 * number
        return Frame.from_points(
            points / np.linalg.norm(points, axis=1, keepdims=True) * reach,
            stamp_ns=number * 100_000_000,
            features={name: rng.normal(0, 1, count) for name in self.features},
            T_world_sensor=pose,
        )


def cropped(sampling: SamplingConfig, crop: Crop) -> SamplingConfig:
    """A bundle's limits of range and a deployment's: the stricter one holds."""
    return replace(
        sampling,
        min_range_m=max(sampling.min_range_m, crop.min_range_m),
        max_range_m=min((m for m in (sampling.max_range_m, crop.max_range_m) if m > 0), default=0.0),
    )
