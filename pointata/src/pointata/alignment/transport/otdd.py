"""OTDD, the optimal transport dataset distance (Alvarez-Melis and Fusi, 2020), differentiable in the features."""

from torch import Tensor

from pointata.alignment.transport.label_distances import (
    LabelDistance,
    diagonal_distances,
    exact_distances,
    full_distances,
)
from pointata.alignment.transport.labels import Labelled
from pointata.alignment.transport.sinkhorn import debiased, relative_epsilon, squared_distances
from pointata.errors import ConfigError


def otdd(
    x: Tensor,
    x_labels: Tensor,
    y: Tensor,
    y_labels: Tensor,
    *,
    label_distance: LabelDistance = "diagonal",
    epsilon: float = 0.1,
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
) -> Tensor:
    """Distance of two labelled sets of features, whose labels need not mean the same.

    The debiased divergence OT(x, y) - OT(x, x) / 2 - OT(y, y) / 2 with the cost (|x - x'|^2 + W(l, l')) / 2, where W is
    the squared distance of the labels' feature distributions. Labels of a single sample drop out, with their sample.
    All three terms use one epsilon: `epsilon` times the mean cost between x and y. Exact label distances are debiased
    Sinkhorn divergences themselves, with `epsilon` times the mean of |x - x'|^2 / 2 between x and y. The gradient is
    that of the returned value: features, label distances and both epsilons taken into account.

    Args:
        x: (N, D) float.
        x_labels: (N,) integers.
        y: (M, D) float.
        y_labels: (M,) integers.
        label_distance: "diagonal" or "full" covariance of a Gaussian for each label, or "exact".
        epsilon: strength of the entropy, relative to the mean cost.
        tolerance: see `entropic_cost`.
        max_iterations: see `entropic_cost`.

    Returns:
        () float, in squared units of the features; 0 for equal sets.

    Raises:
        DataError: a set without a label of two samples.
    """
    if not epsilon > 0:
        raise ConfigError(f"epsilon must be above 0, got {epsilon}")
    a, b = Labelled.of(x, x_labels), Labelled.of(y, y_labels)
    groups = a.groups() + b.groups()
    between = squared_distances(a.features, b.features)
    if label_distance == "diagonal":
        labels = diagonal_distances(groups)
    elif label_distance == "full":
        labels = full_distances(groups)
    elif label_distance == "exact":
        labels = exact_distances(groups, relative_epsilon(epsilon, between / 2), tolerance, max_iterations)
    else:
        raise ConfigError(f'label_distance must be "diagonal", "full" or "exact", got {label_distance!r}')
    first, second = a.index, b.index + len(a.counts)  # numbers of the samples' labels in `groups`

    def cost(squared: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        return (squared + labels[rows][:, columns]) / 2

    across = cost(between, first, second)
    within_a = cost(squared_distances(a.features, a.features), first, first)
    within_b = cost(squared_distances(b.features, b.features), second, second)
    return debiased(across, within_a, within_b, relative_epsilon(epsilon, across), tolerance, max_iterations)
