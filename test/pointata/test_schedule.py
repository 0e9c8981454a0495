"""The learning rate over a training, against its closed form."""

import numpy as np
import pytest
import torch

from pointata.training.optimizer import rate_factor, stepwise


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_factor(step, 110, 10) for step in range(111)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10], 1)
    np.testing.assert_allclose(rates[60], 0.5)
    np.testing.assert_allclose(rates[110], 0, atol=1e-12)
    assert rate_factor(0, 5, 0) == 1


@pytest.mark.parametrize(("wanted", "warmup"), [(4, 4), (100, 10), (0, 0)])
def test_each_group_keeps_its_own_peak_and_the_warm_up_is_short(wanted: int, warmup: int) -> None:
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in (0.1, 0.02)]
    configured = stepwise(torch.optim.SGD(groups), wanted, 50)
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(50):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    factors = np.array([rate_factor(step, 50, warmup) for step in range(50)])
    np.testing.assert_allclose(seen, factors[:, None] * [0.1, 0.02])
