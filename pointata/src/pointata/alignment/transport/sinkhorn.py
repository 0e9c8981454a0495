"""Entropic optimal transport: the log-domain Sinkhorn of POT, with exact gradients and without its entropic bias."""

import warnings

import torch
from ot.batch import bregman_log_projection_batch
from torch import Tensor

# An epsilon of zero (all points in one place) would divide by zero.
_SMALLEST_EPSILON = 1e-12


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances (..., N, M) of x (..., N, D) and y (..., M, D)."""
    # The product form cancels where points lie near each other but far from the origin: move the origin among them.
    origin = x.mean(dim=-2, keepdim=True).detach()
    x, y = x - origin, y - origin
    squares = x.square().sum(-1).unsqueeze(-1) + y.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * x @ y.transpose(-1, -2)).clamp(min=0)


def relative_epsilon(epsilon: float, cost: Tensor) -> Tensor:
    """Epsilon as a share of the mean cost, () tensor. It follows the cost in the gradient, too: the value's own."""
    return (epsilon * cost.mean()).clamp(min=_SMALLEST_EPSILON)


def entropic_cost(
    cost: Tensor,
    a: Tensor,
    b: Tensor,
    epsilon: Tensor,
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
    start: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """OT_eps(a, b) = min over plans P of <P, C> + eps KL(P | a b^T), of L problems at once.

    Computed as the dual objective at the potentials that Sinkhorn's iteration found, these taken as constants. At the
    optimum the potentials' own change does not move the objective (envelope theorem), so the gradient is exact: the
    plan with regard to the cost. No iteration is differentiated or kept in memory.

    Args:
        cost: (L, N, M) float.
        a: (L, N) weights that sum to 1; zero for padding.
        b: (L, M) likewise.
        epsilon: () float above 0, in units of the cost.
        tolerance: the iteration ends when the plan's marginals are this near to the weights, relative to their norm.
        max_iterations: a warning is given where they do not suffice.
        start: potentials / epsilon (L, N) and (L, M) to begin with; None for zeros.

    Returns:
        (L,) float, differentiable with regard to `cost` and `epsilon`.
    """
    kernel = -cost / epsilon
    with torch.no_grad():
        first, second = (torch.zeros_like(a), torch.zeros_like(b)) if start is None else start
        begun = kernel + first.unsqueeze(-1) + second.unsqueeze(-2)
        norm = float(a.norm(dim=-1).min())
        found = bregman_log_projection_batch(begun, a, b, max_iter=max_iterations, tol=tolerance * norm)
        if found["n_iters"] == max_iterations - 1:
            _warn(tolerance, max_iterations)
        u, v = found["potentials"]  # (L, N), (L, M): change of potential / eps, + log(weight)
    return _dual(kernel, epsilon, (first + u - a.log(), a), (second + v - b.log(), b))


def own_cost(
    cost: Tensor, a: Tensor, epsilon: Tensor, tolerance: float = 1e-3, max_iterations: int = 1000
) -> tuple[Tensor, Tensor]:
    """OT_eps(a, a) of L sets with themselves, by the averaged symmetric iteration (Feydy et al., 2019, section 3.1).

    It halves its error every round, where the alternating iteration crawls on well separated clusters.

    Args:
        cost: (L, N, N) float, symmetric.
        a: (L, N) weights above 0 that sum to 1.
        epsilon: see `entropic_cost`, as for the rest.
        tolerance: likewise.
        max_iterations: likewise.

    Returns:
        (L,) float, differentiable as in `entropic_cost`, and the potentials / epsilon (L, N), constants.
    """
    kernel = -cost / epsilon
    with torch.no_grad():
        f, log_a = torch.zeros_like(a), a.log()
        for _ in range(max_iterations):
            answer = -(kernel + (f + log_a).unsqueeze(-2)).logsumexp(-1)
            excess = a * ((f - answer).exp() - 1)  # of the plan's marginals
            f = (f + answer) / 2
            if bool((excess.norm(dim=-1) <= tolerance * a.norm(dim=-1)).all()):
                break
        else:
            _warn(tolerance, max_iterations)
    return _dual(kernel, epsilon, (f, a), (f, a)), f


def _dual(kernel: Tensor, epsilon: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """The dual objective (L,) of the kernel -C / eps at constant potentials / eps, each given with its weights."""
    constant = torch.zeros_like(kernel[:, 0, 0])
    exponent = kernel
    for (potential, weight), axis in ((first, -1), (second, -2)):
        real = weight > 0  # padding has neither potential nor mass
        constant = constant + torch.where(real, weight * potential, 0.0).sum(-1)
        exponent = exponent + torch.where(real, potential + weight.log(), -torch.inf).unsqueeze(axis)
    mass = exponent.exp().sum((-2, -1))  # of the plan: 1 at the optimum
    return epsilon * (constant - mass + 1)


def _warn(tolerance: float, max_iterations: int) -> None:
    warnings.warn(
        f"Sinkhorn's iteration did not reach a tolerance of {tolerance} in {max_iterations} rounds: "
        "raise epsilon or max_iterations",
        stacklevel=3,
    )


def uniform(cost: Tensor, axis: int) -> Tensor:
    """Equal weights for the samples on an axis (-2 or -1) of costs (L, N, M): (L, N) or (L, M)."""
    return cost.new_full((len(cost), cost.shape[axis]), 1 / cost.shape[axis])


def debiased(
    between: Tensor, within_x: Tensor, within_y: Tensor, epsilon: Tensor, tolerance: float, max_iterations: int
) -> Tensor:
    """OT_eps(x, y) - OT_eps(x, x) / 2 - OT_eps(y, y) / 2 of samples of equal weight, () float.

    Args:
        between: (N, M) costs.
        within_x: (N, N) costs.
        within_y: (M, M) costs.
        epsilon: () float, in units of the cost, the same in all three terms.
        tolerance: see `entropic_cost`.
        max_iterations: see `entropic_cost`.
    """
    cost = between.unsqueeze(0)
    a, b = uniform(cost, -2), uniform(cost, -1)
    own_x, f = own_cost(within_x.unsqueeze(0), a, epsilon, tolerance, max_iterations)
    own_y, g = own_cost(within_y.unsqueeze(0), b, epsilon, tolerance, max_iterations)
    # the sets' own potentials are the solution where the sets are equal
    across = entropic_cost(cost, a, b, epsilon, tolerance, max_iterations, start=(f, g))
    return (across - own_x / 2 - own_y / 2).squeeze(0)


def sinkhorn_divergence(
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float = 0.1,
    relative: bool = True,
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
) -> Tensor:
    """Debiased Sinkhorn divergence of two sets of features with the cost |x - y|^2 / 2: OTDD without the labels.

    Half the squared 2-Wasserstein distance in the limit of a small epsilon.

    Args:
        x: (N, D) float.
        y: (M, D) float.
        epsilon: strength of the entropy.
        relative: epsilon is a share of the mean cost between x and y; else in units of the cost (GeomLoss's blur^2).
        tolerance: see `entropic_cost`.
        max_iterations: see `entropic_cost`.

    Returns:
        () float, differentiable with regard to x and y.
    """
    between = squared_distances(x, y) / 2
    strength = relative_epsilon(epsilon, between) if relative else between.new_tensor(epsilon)
    within_x, within_y = squared_distances(x, x) / 2, squared_distances(y, y) / 2
    return debiased(between, within_x, within_y, strength, tolerance, max_iterations)
