"""How far two labels lie apart: distances between the distributions of their samples' features."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pointata.alignment.transport.sinkhorn import entropic_cost, own_cost, squared_distances, uniform

#: What is compared: Gaussians with diagonal covariances, Gaussians with full ones, or the samples themselves.
LabelDistance = Literal["diagonal", "full", "exact"]


def diagonal_distances(groups: Sequence[Tensor]) -> Tensor:
    """Squared 2-Wasserstein distances of diagonal Gaussians: |m - m'|^2 + |s - s'|^2.

    Args:
        groups: K labels' samples, each (n, D) with n >= 2; s is the unbiased standard deviation.

    Returns:
        (K, K).
    """
    means = torch.stack([group.mean(0) for group in groups])
    variances = torch.stack([group.var(0) for group in groups])
    # the root's slope is infinite where a channel is constant: floored, such a channel has no gradient
    deviations = variances.clamp(min=torch.finfo(variances.dtype).tiny ** 0.5).sqrt()
    statistics = torch.cat([means, deviations], dim=1)
    return squared_distances(statistics, statistics)


def full_distances(groups: Sequence[Tensor]) -> Tensor:
    """Squared 2-Wasserstein (Bures) distances of Gaussians: |m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2).

    With the centred samples A, A' of two labels, S = A^T A and S' = A'^T A', the last trace is the sum of the singular
    values of A A'^T: a matrix of samples by samples instead of channels by channels, and no root of a covariance that
    has fewer samples than channels. Its gradient is the polar factor, which is taken as a constant (envelope theorem:
    the sum is the largest <Q, A A'^T> over |Q| <= 1).

    Args:
        groups: K labels' samples, each (n, D) with n >= 2; S is the unbiased covariance.

    Returns:
        (K, K).
    """
    means = torch.stack([group.mean(0) for group in groups])
    centred = [(group - group.mean(0)) / (len(group) - 1) ** 0.5 for group in groups]
    traces = torch.stack([factor.square().sum() for factor in centred])

    def overlap(factor: Tensor, others: Tensor, weights: Tensor, numbers: list[int]) -> Tensor:
        product = factor @ others.transpose(-1, -2)  # (L, n, m)
        with torch.no_grad():
            left, values, right = torch.linalg.svd(product, full_matrices=False)
            # singular vectors of a zero are arbitrary
            left = left * (values > values[:, :1] * 1e2 * torch.finfo(values.dtype).eps).unsqueeze(-2)
            polar = left @ right
        return (polar * product).sum((-2, -1))

    spread = traces.unsqueeze(0) + traces.unsqueeze(1) - 2 * _pairwise(centred, overlap)
    return squared_distances(means, means) + spread.fill_diagonal_(0.0)


def exact_distances(groups: Sequence[Tensor], epsilon: Tensor, tolerance: float, max_iterations: int) -> Tensor:
    """Twice the debiased Sinkhorn divergence of the samples, cost |x - x'|^2 / 2: tends to the squared 2-Wasserstein
    distance for a small epsilon.

    Args:
        groups: K labels' samples, each (n, D).
        epsilon: () float, in units of the cost, the same for every pair.
        tolerance: see `entropic_cost`.
        max_iterations: see `entropic_cost`.

    Returns:
        (K, K).
    """

    own, potentials = [], []
    for group in groups:
        cost = squared_distances(group, group).unsqueeze(0) / 2
        value, potential = own_cost(cost, uniform(cost, -1), epsilon, tolerance, max_iterations)
        own.append(value)
        potentials.append(potential.squeeze(0))
    within = torch.cat(own)

    def divergence(group: Tensor, others: Tensor, weights: Tensor, numbers: list[int]) -> Tensor:
        *smaller, number = numbers
        cost = squared_distances(group.expand(len(others), -1, -1), others) / 2
        start = (
            potentials[number].expand(len(others), -1),
            pad_sequence([potentials[k] for k in smaller], batch_first=True),
        )
        between = entropic_cost(cost, uniform(cost, -2), weights, epsilon, tolerance, max_iterations, start)
        return between - within[number] / 2 - within[smaller] / 2

    return 2 * _pairwise(groups, divergence)


def _pairwise(groups: Sequence[Tensor], compare: Callable[[Tensor, Tensor, Tensor, list[int]], Tensor]) -> Tensor:
    """Compare all pairs of labels, (K, K), symmetric with a zero diagonal.

    From the smallest label to the largest, each with all smaller ones at once: so little is padded even where one
    label has ten times the samples of the others.

    Args:
        groups: K tensors (n, D).
        compare: called with a label (n, D), L others padded by zeros to (L, m, D), their weights (L, m) (0 for
            padding), and the numbers of the others and, last, of the label itself; returns (L,).
    """
    order = sorted(range(len(groups)), key=lambda k: len(groups[k]))
    padded = pad_sequence([groups[k] for k in order], batch_first=True)
    weights = pad_sequence([groups[k].new_full((len(groups[k]),), 1 / len(groups[k])) for k in order], batch_first=True)
    result = padded.new_zeros(len(groups), len(groups))
    rows, columns, values = [], [], []
    for i in range(1, len(order)):
        longest = len(groups[order[i - 1]])
        values.append(compare(groups[order[i]], padded[:i, :longest], weights[:i, :longest], order[: i + 1]))
        rows += [order[i]] * i
        columns += order[:i]
    if values:
        result = result.index_put((torch.tensor(rows), torch.tensor(columns)), torch.cat(values))
    return result + result.T
