"""Farthest point sampling as one GPU kernel. Imports triton, so this module is imported only where it is used.

A loop of torch operations launches some nine kernels for every pick; here one program does all picks in one launch,
with the cloud and its distances in the registers of one multiprocessor.
"""
# Triton has no types, and refuses a kernel with Python's.
# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-def"

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointata.preprocessing.point_ops.limits import MOST_CANDIDATES

# 1,024 threads hold 16 points each.
_WARPS = 32


# Sizes change from frame to frame: a kernel made for some of them would compile while a frame waits.
@triton.jit(do_not_specialize=["size", "count"])
def _pick(points, picks, size, count, BLOCK: tl.constexpr):
    index = tl.arange(0, BLOCK)
    inside = index < size
    x = tl.load(points + 3 * index, mask=inside, other=0.0)
    y = tl.load(points + 3 * index + 1, mask=inside, other=0.0)
    z = tl.load(points + 3 * index + 2, mask=inside, other=0.0)
    distance = tl.where(inside, float("inf"), -2.0)  # squared; beyond the cloud, below every pick
    pick = 0
    tl.store(picks, pick)
    for i in range(1, count):
        dx = x - tl.load(points + 3 * pick)
        dy = y - tl.load(points + 3 * pick + 1)
        dz = z - tl.load(points + 3 * pick + 2)
        distance = tl.minimum(distance, dx * dx + dy * dy + dz * dz)
        distance = tl.where(index == pick, -1.0, distance)  # a pick is never picked again
        pick = tl.argmax(distance, axis=0)  # ties to the lowest index
        tl.store(picks + i, pick)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """As `on_device.farthest_points`, bit for bit, for clouds of up to MOST_CANDIDATES points.

    Args:
        points: (N, 3) float32 on a GPU, finite.
        count: 1 to N.

    Returns:
        (count,) int64, on the same GPU; nothing waits for it.
    """
    picks = torch.empty(count, dtype=torch.int64, device=points.device)
    # Without fusion a sum of squares is rounded as everywhere else, and the picks are the same.
    _pick[(1,)](
        points.contiguous(), picks, len(points), count,
        BLOCK=MOST_CANDIDATES, num_warps=_WARPS, enable_fp_fusion=False,
    )  # fmt: skip
    return picks
