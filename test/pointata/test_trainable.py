"""One predicate decides what is trained: the rest provably does not move."""

import copy
from typing import get_args

import pytest
import torch

from pointata.model.config import preset
from pointata.model.pointata import PointATA
from pointata.model.state import Clip
from pointata.model.trainable import (
    Mode,
    adapter_state,
    backbone_state,
    freeze_statistics,
    is_trained,
    parameter_counts,
    set_trainable,
)

CONFIG = preset("tiny", groups=16, group_size=8, window=4, heads={"action": 3, "segments": 3, "semantic": 4})


def train_a_little(model: PointATA, mode: Mode) -> None:
    set_trainable(model, mode)
    model.train()
    freeze_statistics(model, mode)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for seed in range(3):
        torch.manual_seed(seed)
        points = torch.randn(2, 5, 64, 3)
        neighbours = torch.randint(64, (2, 5, 64, 4))
        outputs = model(Clip(points, torch.zeros(2, 5, 3).double(), torch.arange(5).double().expand(2, 5), neighbours))
        loss = torch.stack([value.square().mean() + value.mean() for value in outputs.values()]).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


@pytest.mark.parametrize("mode", get_args(Mode))
def test_only_what_the_predicate_names_moves(mode: Mode) -> None:
    torch.manual_seed(0)
    model = PointATA(CONFIG)
    before = copy.deepcopy(model.state_dict())
    train_a_little(model, mode)
    after = model.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    trained = {name for name, _ in model.named_parameters() if is_trained(name, mode)}
    statistics = {name for name in moved if "running_" in name or name.endswith("num_batches_tracked")}
    assert moved - statistics <= trained
    assert len(moved & trained) > 0.9 * len(trained)  # a bias before a BatchNorm may stay
    owners = {name.rpartition(".")[0] for name in statistics}
    norms = {name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm1d)}
    assert owners == {name for name in norms if f"{name}.weight" in trained}


def test_adapter_and_backbone_share_nothing_and_miss_nothing() -> None:
    model = PointATA(CONFIG)
    adapter, backbone = set(adapter_state(model)), set(backbone_state(model))
    assert adapter | backbone == set(model.state_dict())
    assert not adapter & backbone
    assert all(name.startswith("backbone.") for name in backbone)


def test_adapters_of_base_are_a_small_share() -> None:
    trained, total = parameter_counts(PointATA(preset("base", heads={"action": 20})), "adapters")
    embedder = sum(p.numel() for p in PointATA(preset("base")).embedder.parameters())
    assert (trained - embedder) / total < 0.05
