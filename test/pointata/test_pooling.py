"""Pooling of a frame's tokens, and the loss that teaches it where to look, by hand."""

import math

import torch

from pointata.adaptation.losses import attention_loss
from pointata.model.correspondence import Correspondences
from pointata.model.pooling import FramePool


def still(centres: torch.Tensor) -> Correspondences:
    shape = (*centres.shape[:3], 4)
    index = torch.zeros(*centres.shape[:3], 1, dtype=torch.int64)
    valid = torch.ones(centres.shape[:2], dtype=torch.bool)
    return Correspondences((index, index), (torch.full(shape, 1.0), torch.full(shape, 2.0)), (valid, valid))


def test_equal_attention_is_the_plain_mean() -> None:
    tokens, centres = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 3)
    vector, attention = FramePool(8).eval()(tokens, centres, still(centres))
    assert vector.shape == (2, 3, FramePool.width(8))
    torch.testing.assert_close(attention, torch.full((2, 3, 5, 4), -math.log(5)))
    torch.testing.assert_close(vector[..., :8], tokens.mean(dim=2))
    torch.testing.assert_close(vector[..., 8:16], tokens.amax(dim=2))
    where = vector[..., 16:52].unflatten(-1, (4, 9))
    torch.testing.assert_close(where[..., 0, :3], centres.mean(dim=2))
    torch.testing.assert_close(where[..., 3, 3:], torch.tensor([1.0] * 3 + [2.0] * 3).expand(2, 3, 6))
    spread = vector[..., 52:].unflatten(-1, (4, 3))
    torch.testing.assert_close(spread[..., 1, :], centres.std(dim=2, unbiased=False), atol=1e-4, rtol=1e-3)


def test_attention_on_one_token_is_that_token() -> None:
    tokens, centres = torch.zeros(1, 1, 4, 8), torch.randn(1, 1, 4, 3)
    tokens[..., 2, 0] = 1.0
    pool = FramePool(8).eval()
    torch.nn.init.zeros_(pool.score.bias)
    pool.score.weight.data[:, 0] = 50.0
    vector, _ = pool(tokens, centres, still(centres))
    torch.testing.assert_close(vector[0, 0, 16:19], centres[0, 0, 2])


def test_pooled_frames_are_brought_to_unit_variance() -> None:
    torch.manual_seed(0)
    tokens, centres = 5 * torch.randn(4, 30, 5, 8), 0.01 * torch.randn(4, 30, 5, 3)
    vector, _ = FramePool(8)(tokens, centres, still(centres))
    varying = vector[..., [0, 8, 16, 17, 52]].flatten(0, 1)
    torch.testing.assert_close(varying.std(dim=0), torch.ones(5), atol=0.15, rtol=0)


def test_attention_loss_by_hand() -> None:
    weight = torch.tensor([0.5, 0.3, 0.2]).log().view(1, 1, 3, 1).repeat(2, 1, 1, 1)
    labels = torch.tensor([[[6, 0, 6, 6]], [[0, 0, 0, 6]]])  # the second frame shows the actor in no token
    assert attention_loss(weight, labels, 6).item() == torch.tensor(0.7).log().neg().item()
    assert attention_loss(weight[1:], labels[1:], 6).item() == 0
