"""Neighbours against brute force and scipy."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from pointata.geometry.neighbours import cpu_nearest, gather, inverse_distance_weights, nearest


def test_nearest_against_scipy() -> None:
    rng = np.random.default_rng(0)
    support, query = rng.normal(size=(2, 300, 3)), rng.normal(size=(2, 40, 3))
    distance, index = nearest(torch.from_numpy(query), torch.from_numpy(support), 5)
    for b in range(2):
        expected_distance, expected_index = cKDTree(support[b]).query(query[b], 5)
        np.testing.assert_allclose(distance[b], expected_distance, atol=1e-9)
        np.testing.assert_array_equal(index[b], expected_index)


def test_nearest_keeps_its_recall_far_from_the_origin() -> None:
    rng = np.random.default_rng(1)
    support = rng.normal(size=(2000, 3)) * 20
    far = torch.from_numpy((support + 1000).astype(np.float32))
    _, index = nearest(far[:64], far, 16)
    _, expected = cKDTree(far.numpy().astype(np.float64)).query(far[:64].numpy(), 16)
    recall = np.mean([len(set(a) & set(b)) / 16 for a, b in zip(index.tolist(), expected.tolist(), strict=True)])
    assert recall > 0.999


@pytest.mark.parametrize("jobs", [1, 2])
def test_cpu_nearest_against_scipy(jobs: int) -> None:
    rng = np.random.default_rng(2)
    support, query = rng.normal(size=(500, 3)).astype(np.float32), rng.normal(size=(900, 3)).astype(np.float32)
    distance, index = cpu_nearest(query, support, 3, jobs=jobs)
    expected_distance, expected_index = cKDTree(support).query(query, 3)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-4, atol=1e-6)
    assert np.mean(index == expected_index) > 0.999  # ties apart


def test_cpu_nearest_with_fewer_points_than_neighbours() -> None:
    distance, index = cpu_nearest(np.zeros((1, 3), np.float32), np.array([[3, 0, 0], [1, 0, 0]], np.float32), 4)
    assert index.tolist() == [[1, 0, 0, 0]]
    assert distance.tolist() == [[1, 3, 3, 3]]


def test_gather_against_a_loop() -> None:
    values, index = torch.randn(2, 3, 7, 4), torch.randint(7, (2, 3, 5, 6))
    picked = gather(values, index)
    for b, t, q, k in np.ndindex(2, 3, 5, 6):
        assert torch.equal(picked[b, t, q, k], values[b, t, index[b, t, q, k]])


def test_weights_sum_to_one_and_a_hit_takes_all() -> None:
    weight = inverse_distance_weights(torch.tensor([[1.0, 1.0, 2.0], [0.0, 1.0, 1.0]]))
    torch.testing.assert_close(weight.sum(-1), torch.ones(2))
    torch.testing.assert_close(weight[0], torch.tensor([0.4, 0.4, 0.2]), atol=1e-4, rtol=0)
    assert weight[1, 0] > 0.999
