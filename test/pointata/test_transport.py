"""Optimal transport: closed forms, an exact solver, a second Sinkhorn, a brute force, and finite differences."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import geomloss
import numpy as np
import ot
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor

from pointata.alignment.transport.label_distances import (
    LabelDistance,
    diagonal_distances,
    exact_distances,
    full_distances,
)
from pointata.alignment.transport.labels import pseudo_labels
from pointata.alignment.transport.mmd import mmd
from pointata.alignment.transport.otdd import otdd
from pointata.alignment.transport.sinkhorn import entropic_cost, sinkhorn_divergence, squared_distances
from pointata.errors import ConfigError, DataError

KINDS: tuple[LabelDistance, ...] = ("diagonal", "full", "exact")
TIGHT: dict[str, Any] = {"tolerance": 1e-8, "max_iterations": 20000}


def labelled(seed: int, n: int, classes: int, width: int, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    """Features of classes with different means and spreads, float64; every class has at least n // classes samples."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    means = torch.randn(classes, width, generator=g, dtype=torch.float64)
    spreads = 0.3 + torch.rand(classes, width, generator=g, dtype=torch.float64)
    return means[labels] + spreads[labels] * torch.randn(n, width, generator=g, dtype=torch.float64) + shift, labels


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_is_at_no_distance_from_itself(kind: LabelDistance) -> None:
    x, labels = labelled(0, 40, 4, 6)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert otdd(x, labels, x, labels, label_distance=kind).item() == pytest.approx(0, abs=1e-5)
    renamed = (7 - labels)[order]  # other names, another order: the same set
    assert otdd(x, labels, x[order], renamed, label_distance=kind, **TIGHT).item() == pytest.approx(0, abs=1e-9)
    assert otdd(x, labels, x + 1, labels, label_distance=kind).item() > 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_is_symmetric_and_positive(kind: LabelDistance) -> None:
    (x, a), (y, b) = labelled(0, 40, 4, 6), labelled(1, 33, 3, 6, shift=0.2)
    forth = otdd(x, a, y, b, label_distance=kind, **TIGHT).item()
    assert forth == pytest.approx(otdd(y, b, x, a, label_distance=kind, **TIGHT).item(), rel=1e-9)
    assert forth > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_labels_and_order_of_samples_do_not_matter(kind: LabelDistance) -> None:
    (x, a), (y, b) = labelled(0, 40, 4, 6), labelled(1, 33, 3, 6)
    names, order = torch.tensor([12, -5, 1000]), torch.randperm(33, generator=torch.Generator().manual_seed(1))
    expected = otdd(x, a, y, b, label_distance=kind, **TIGHT).item()
    assert otdd(x, a, y[order], names[b][order], label_distance=kind, **TIGHT).item() == pytest.approx(expected)


@pytest.mark.parametrize("sizes", [(40, 9, 25), (4, 3, 2)])  # more and fewer samples than channels
def test_gaussian_label_distances_equal_their_closed_forms(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    width = 6
    samples = [rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width) for n in sizes]
    groups = [torch.from_numpy(s) for s in samples]
    diagonal, full = diagonal_distances(groups), full_distances(groups)
    for i, s in enumerate(samples):
        for j, t in enumerate(samples):
            means = ((s.mean(0) - t.mean(0)) ** 2).sum()
            deviations = ((s.std(0, ddof=1) - t.std(0, ddof=1)) ** 2).sum()
            assert diagonal[i, j].item() == pytest.approx(means + deviations, abs=1e-9)
            bures = means + bures_distance(np.cov(s.T), np.cov(t.T))
            assert full[i, j].item() == pytest.approx(bures, rel=1e-5, abs=1e-5)  # sqrtm's limit on singular matrices


def bures_distance(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of singular matrices
        root = np.real(sqrtm(one))
        return float(np.trace(one + two - 2 * np.real(sqrtm(root @ two @ root))))


def test_full_and_diagonal_agree_where_channels_are_uncorrelated() -> None:
    axes = torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
    groups = [axes * torch.tensor([1.0, 2.0, 3.0]), axes * torch.tensor([3.0, 0.5, 1.0]) + 1]
    torch.testing.assert_close(full_distances(groups), diagonal_distances(groups))


def test_entropic_cost_approaches_the_exact_solver() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(20, 3)) + 1
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(20))
    cost = ot.dist(x, y)
    exact = ot.emd2(a, b, cost)
    gaps = []
    for epsilon in (1.0, 0.2, 0.04):
        problem, first, second = (torch.from_numpy(v).unsqueeze(0) for v in (cost, a, b))
        value = entropic_cost(problem, first, second, torch.tensor(epsilon, dtype=torch.float64), 1e-4, 10000)
        gaps.append(value.item() - exact)
    assert gaps[0] > gaps[1] > gaps[2] > 0  # the entropy only adds
    assert gaps[2] == pytest.approx(0, abs=0.04 * math.log(30 * 20))


@pytest.mark.parametrize("blur", [0.3, 1.0])
def test_sinkhorn_divergence_agrees_with_geomloss(blur: float) -> None:
    (x, _), (y, _) = labelled(0, 50, 4, 3), labelled(1, 37, 3, 3, shift=0.5)
    second = geomloss.SamplesLoss("sinkhorn", p=2, blur=blur, scaling=0.98, debias=True, backend="tensorized")
    mine = sinkhorn_divergence(x, y, epsilon=blur**2, relative=False, **TIGHT)
    assert mine.item() == pytest.approx(second(x, y).item(), rel=1e-3)


def test_padding_and_batches_change_nothing() -> None:
    g = torch.Generator().manual_seed(0)
    costs = torch.rand(3, 5, 4, generator=g, dtype=torch.float64)
    uniform = torch.full((3, 5), 0.2, dtype=torch.float64), torch.full((3, 4), 0.25, dtype=torch.float64)
    epsilon = torch.tensor(0.1, dtype=torch.float64)
    together = entropic_cost(costs, *uniform, epsilon, 1e-10, 20000)
    for k in range(3):
        plan = ot.bregman.sinkhorn_log(uniform[0][k], uniform[1][k], costs[k], 0.1, stopThr=1e-12, numItermax=20000)
        divergence = (plan * (plan / 0.05).log()).sum()
        assert together[k].item() == pytest.approx(((plan * costs[k]).sum() + 0.1 * divergence).item(), rel=1e-8)
    padded = torch.nn.functional.pad(costs, (0, 2), value=3.0), torch.nn.functional.pad(uniform[1], (0, 2))
    padded[0].requires_grad_()
    result = entropic_cost(padded[0], uniform[0], padded[1], epsilon, 1e-10, 20000)
    torch.testing.assert_close(result, together)
    (gradient,) = torch.autograd.grad(result.sum(), padded[0])
    assert gradient.isfinite().all()
    assert gradient[..., 4:].eq(0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_otdd_equals_a_brute_force_for_a_small_epsilon(kind: LabelDistance) -> None:
    """Label distances one by one in numpy, then POT's exact solver; without entropy there is no bias to take out."""
    (x, a), (y, b) = labelled(2, 12, 2, 3), labelled(3, 9, 3, 3, shift=0.5)
    xs, ys = x.numpy(), y.numpy()
    cost = np.zeros((12, 9))
    for i, one in enumerate(a):
        for j, two in enumerate(b):
            p, q = xs[a == one], ys[b == two]
            means = ((p.mean(0) - q.mean(0)) ** 2).sum()
            if kind == "diagonal":
                labels = means + ((p.std(0, ddof=1) - q.std(0, ddof=1)) ** 2).sum()
            elif kind == "full":
                labels = means + bures_distance(np.cov(p.T), np.cov(q.T))
            else:
                labels = ot.emd2(ot.unif(len(p)), ot.unif(len(q)), ot.dist(p, q))
            cost[i, j] = (((xs[i] - ys[j]) ** 2).sum() + labels) / 2
    exact = ot.emd2(ot.unif(12), ot.unif(9), cost)
    mine = otdd(x, a, y, b, label_distance=kind, epsilon=5e-3, tolerance=1e-2, max_iterations=100000)
    assert mine.item() == pytest.approx(exact, rel=0.01)


def otdd_of(kind: LabelDistance) -> Callable[[Tensor, Tensor], Tensor]:
    a, b = torch.tensor([0, 0, 0, 1, 1, 1, 1]), torch.tensor([2, 2, 2, 5, 5, 5])
    return lambda x, y: otdd(x, a, y, b, label_distance=kind, **TIGHT)


DIFFERENTIABLE: list[Callable[[Tensor, Tensor], Tensor]] = [
    *(otdd_of(kind) for kind in KINDS),
    lambda x, y: sinkhorn_divergence(x, y, **TIGHT),
    lambda x, y: sinkhorn_divergence(x, y, epsilon=0.5, relative=False, **TIGHT),
    mmd,
]


@pytest.mark.parametrize("function", DIFFERENTIABLE)
def test_gradients_equal_finite_differences(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Along three random directions of all coordinates."""
    x, y = (labelled(seed, n, 2, 2)[0].requires_grad_() for seed, n in ((4, 7), (5, 6)))
    gradients = torch.autograd.grad(function(x, y), (x, y))
    generator = torch.Generator().manual_seed(6)
    step = 1e-4
    for _ in range(3):
        dx, dy = (torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in (x, y))
        with torch.no_grad():
            slope = (function(x + step * dx, y + step * dy) - function(x - step * dx, y - step * dy)) / (2 * step)
        expected = (gradients[0] * dx).sum() + (gradients[1] * dy).sum()
        assert slope.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e4, 0.0), (1e-3, 0.0), (1.0, 300.0)])
def test_float32_is_stable(kind: LabelDistance, scale: float, offset: float) -> None:
    """Against float64, on sets of very different sizes, scaled and far from the origin."""
    (x, a), (y, b) = labelled(0, 300, 5, 32), labelled(1, 4, 2, 32, shift=0.5)
    expected = otdd(x, a, y, b, label_distance=kind).item() * scale**2
    x32, y32 = ((v * scale + offset).float().requires_grad_() for v in (x, y))
    value = otdd(x32, a, y32, b, label_distance=kind)
    assert value.item() == pytest.approx(expected, rel=2e-3)
    for gradient in torch.autograd.grad(value, (x32, y32)):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_features_give_numbers(kind: LabelDistance) -> None:
    """Dead channels, and a set that has collapsed to one point."""
    x, labels = labelled(0, 20, 2, 4)
    x[:, 1:3] = 0
    for y in (x.clone(), torch.ones_like(x)):
        y.requires_grad_()
        value = otdd(x, labels, y, labels, label_distance=kind)
        (gradient,) = torch.autograd.grad(value, y)
        assert value.isfinite()
        assert gradient.isfinite().all()
    point = torch.ones_like(x)
    assert otdd(point, labels, point, labels, label_distance=kind).item() == pytest.approx(0, abs=1e-9)


def test_labels_of_one_sample_drop_out() -> None:
    (x, a), (y, b) = labelled(0, 20, 2, 4), labelled(1, 21, 3, 4)
    b[-1] = 99
    kept = otdd(x, a, y[:-1], b[:-1]).item()
    assert otdd(x, a, y, b).item() == kept
    with pytest.raises(DataError, match="none of the 20 labels of 20 samples"):
        otdd(x, torch.arange(20), y, b)
    with pytest.raises(DataError, match=r"features \(N, D\) and labels"):
        otdd(x, a[:-1], y, b)


def test_wrong_settings_are_refused() -> None:
    x, a = labelled(0, 20, 2, 4)
    with pytest.raises(ConfigError, match="label_distance must be"):
        otdd(x, a, x, a, label_distance="bures")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="epsilon must be above 0"):
        otdd(x, a, x, a, epsilon=0)


def test_an_unfinished_iteration_is_told() -> None:
    (x, _), (y, _) = labelled(0, 20, 2, 4), labelled(1, 20, 2, 4)
    with pytest.warns(UserWarning, match="did not reach a tolerance"):
        sinkhorn_divergence(x, y, epsilon=1e-3, max_iterations=11)


def test_mmd_equals_a_double_loop() -> None:
    (x, _), (y, _) = labelled(0, 9, 3, 4), labelled(1, 7, 2, 4)
    both = torch.cat([x, y]).numpy()
    h = np.mean([[((p - q) ** 2).sum() for q in both] for p in both])

    def mean_kernel(ps: NDArray[np.float64], qs: NDArray[np.float64]) -> float:
        kernels = [math.exp(-((p - q) ** 2).sum() / (c * h)) for p in ps for q in qs for c in (0.25, 0.5, 1, 2, 4)]
        return float(np.mean(kernels))

    p, q = x.numpy(), y.numpy()
    expected = mean_kernel(p, p) + mean_kernel(q, q) - 2 * mean_kernel(p, q)
    assert mmd(x, y).item() == pytest.approx(expected)
    assert mmd(x, x).item() == pytest.approx(0, abs=1e-12)
    assert mmd(3 * x + 5, 3 * y + 5).item() == pytest.approx(expected)


def test_squared_distances_far_from_the_origin() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 6, 3, generator=g), torch.randn(2, 5, 3, generator=g)
    expected = (x.unsqueeze(2) - y.unsqueeze(1)).square().sum(-1)
    torch.testing.assert_close(squared_distances(x, y), expected)
    torch.testing.assert_close(squared_distances(x + 500, y + 500), expected, rtol=1e-2, atol=1e-3)


def test_exact_label_distances_equal_the_divergence_of_the_samples() -> None:
    """Pair by pair without padding, groups of very different sizes."""
    groups = [labelled(seed, n, 1, 3)[0] for seed, n in ((0, 20), (1, 3), (2, 9), (3, 4))]
    epsilon = torch.tensor(0.5, dtype=torch.float64)
    found = exact_distances(groups, epsilon, 1e-10, 20000)
    for i, p in enumerate(groups):
        for j, q in enumerate(groups):
            alone = 2 * sinkhorn_divergence(p, q, epsilon=0.5, relative=False, **TIGHT)
            assert found[i, j].item() == pytest.approx(alone.item(), abs=1e-8)


def test_pseudo_labels_find_clusters() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    truth = torch.arange(30) % 3
    points = centres[truth] + torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    found = pseudo_labels(points, 3)
    assert len({(int(t), int(f)) for t, f in zip(truth, found, strict=True)}) == 3  # one to one
    assert torch.equal(found, pseudo_labels(points, 3))
    with pytest.raises(DataError, match="40 clusters of 30 samples"):
        pseudo_labels(points, 40)
