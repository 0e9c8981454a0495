"""One predicate, one truth: which tensors of a network belong to the adapter, and which are trained in each mode."""

from typing import Literal

import torch
from torch import Tensor, nn

#: How much of the network a training run may change.
Mode = Literal["adapters", "linear_probe", "full", "scratch"]

#: Prefix of the embedder's copy of the tokenizer.
POINT_NET = "embedder.point_net."
_ADAPTER_PARTS = ("embedder.", "adapters.", "context.", "heads.")
# Inside PointATA the embedder stands in for the tokenizer, which therefore never receives a gradient.
_UNUSED = "backbone.tokenizer."


def is_adapter(name: str) -> bool:
    """True for a tensor that is saved in, loaded from and swapped with an adapter bundle."""
    return name.startswith(_ADAPTER_PARTS)


def is_trained(name: str, mode: Mode, point_net: bool = True) -> bool:
    """True for a parameter that a run in `mode` changes.

    Args:
        name: of the parameter.
        mode: of the run.
        point_net: whether mode "adapters" also changes the embedder's copy of the tokenizer.
    """
    if mode == "linear_probe":
        return name.startswith("heads.")
    if mode == "adapters":
        return is_adapter(name) and (point_net or not name.startswith(POINT_NET))
    return not name.startswith(_UNUSED)


def set_trainable(model: nn.Module, mode: Mode, point_net: bool = True) -> None:
    """Switch on the gradients of exactly the parameters that `mode` trains."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_trained(name, mode, point_net))


def freeze_statistics(model: nn.Module, mode: Mode, point_net: bool = True) -> None:
    """Put every normalisation layer without a trained parameter into eval(): its running statistics must not move.

    To be called after each `model.train()`.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm1d) and not is_trained(f"{name}.weight", mode, point_net):
            module.eval()


def adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors by name."""
    return {name: value for name, value in model.state_dict().items() if is_adapter(name)}


def backbone_state(model: nn.Module) -> dict[str, Tensor]:
    """The backbone's tensors by name."""
    return {name: value for name, value in model.state_dict().items() if not is_adapter(name)}


def parameter_counts(model: nn.Module, mode: Mode, point_net: bool = True) -> tuple[int, int]:
    """Number of trained parameters and of all parameters."""
    sizes = [(is_trained(name, mode, point_net), parameter.numel()) for name, parameter in model.named_parameters()]
    return sum(size for trained, size in sizes if trained), sum(size for _, size in sizes)


def checksum(state: dict[str, Tensor]) -> str:
    """Fingerprint (16 hex digits) of tensors, their names and shapes; the same on every device."""
    import hashlib

    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.view(torch.uint8).numpy().tobytes() if value.dim() else bytes(str(value.item()), "ascii"))
    return digest.hexdigest()[:16]
