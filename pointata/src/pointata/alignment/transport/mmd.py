"""Maximum mean discrepancy: what alignment by optimal transport is compared with."""

import torch
from torch import Tensor

from pointata.alignment.transport.sinkhorn import squared_distances

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two sets of features, mean of five Gaussian kernels.

    Kernels exp(-d^2 / (c h)) with c = 1/4, 1/2, 1, 2, 4 and h the mean squared distance of all samples of both sets.
    The biased estimate: means over all pairs, a sample with itself included; so it is never negative, and 0 for equal
    sets. It does not depend on the features' scale, and the gradient knows: h is not taken as a constant.

    Args:
        x: (N, D) float.
        y: (M, D) float.

    Returns:
        () float, differentiable with regard to x and y.
    """
    both = torch.cat([x, y])
    distances = squared_distances(both, both)
    unit = distances / distances.mean().clamp(min=torch.finfo(distances.dtype).tiny)
    kernel = torch.stack([(-unit / c).exp() for c in _BANDWIDTHS]).mean(0)
    n = len(x)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
