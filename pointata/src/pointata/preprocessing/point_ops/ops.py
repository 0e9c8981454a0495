"""The two costly operations on points, by a CPU or by a GPU: chosen once, where a network is put on a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pointata.geometry.neighbours import cpu_nearest, interpolate_labels
from pointata.geometry.places import representatives
from pointata.preprocessing.point_ops.cpu import pick_indices, voxel_downsample
from pointata.preprocessing.point_ops.cuda import sample_indices_on_device, spread_on_device

Best = tuple[NDArray[np.uint8], NDArray[np.float32]]
Picks = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32] | None]


class PointOps(Protocol):
    """Operations on the points of one cloud."""

    def sample(self, points: NDArray[np.float32], count: int, voxel_m: float, range_power: float) -> Picks:
        """Farthest points of a cloud (N, 3) after thinning; see `cpu.voxel_downsample` and `cpu.pick_indices`.

        Returns:
            (count,) indices, the first point of each of V voxels, and each point's voxel.
        """
        ...

    def spread(
        self, query: NDArray[np.float32], support: NDArray[np.float32], scores: Sequence[NDArray[np.float32]]
    ) -> list[Best]:
        """The best class of each query point, of the scores of its three nearest support points.

        Args:
            query: (Q, 3) metres.
            support: (S, 3) metres.
            scores: (S, C) probabilities, of each task.

        Returns:
            (Q,) classes and (Q,) probabilities, of each task.
        """
        ...


@dataclass(frozen=True)
class HostOps:
    """By the CPU: bucket tree, k-d tree.

    Attributes:
        threads: of the neighbour search.
    """

    threads: int = 1

    def sample(self, points: NDArray[np.float32], count: int, voxel_m: float, range_power: float) -> Picks:
        """As of `PointOps`."""
        first, voxel = voxel_downsample(points, count, voxel_m)
        return pick_indices(points, count, first, range_power), first, voxel

    def spread(
        self, query: NDArray[np.float32], support: NDArray[np.float32], scores: Sequence[NDArray[np.float32]]
    ) -> list[Best]:
        """As of `PointOps`."""
        distance, index = map(torch.from_numpy, cpu_nearest(query, support, 3, jobs=self.threads))
        return [interpolate_labels(torch.from_numpy(of_task), distance, index) for of_task in scores]


ON_HOST = HostOps()


@dataclass(frozen=True)
class DeviceOps:
    """By a GPU, other picks than a CPU's (the first one differs); brute force instead of trees.

    Attributes:
        device: the GPU; any other device works, too.
    """

    device: torch.device

    def sample(self, points: NDArray[np.float32], count: int, voxel_m: float, range_power: float) -> Picks:
        """As of `PointOps`."""
        picks, owner = sample_indices_on_device(points, count, voxel_m, range_power, self.device)
        return picks, *representatives(owner)

    def spread(
        self, query: NDArray[np.float32], support: NDArray[np.float32], scores: Sequence[NDArray[np.float32]]
    ) -> list[Best]:
        """As of `PointOps`."""
        return [spread_on_device(query, support, of_task, self.device) for of_task in scores]


def point_ops(device: torch.device, threads: int) -> PointOps:
    """The operations where a network runs; `threads` may be used on a CPU."""
    return DeviceOps(device) if device.type == "cuda" else HostOps(threads)
