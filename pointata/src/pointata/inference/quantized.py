"""Matrix products in 8-bit integers on a CPU: weights once, activations as they come."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from pointata.model.pointata import PointATA

# What makes most of a step: attention and MLPs of the blocks, the wide layers of the tokenizer and the point head.
_WIDE = ("qkv", "proj", "mlp.0", "mlp.2", "point_net.second_out")


class Int8Linear(nn.Module):
    """int8 by int8: activations are quantised as they come, as a whole.

    Torch's own layer cannot be recorded in a graph: what holds its packed weights is no tensor. Here a recording packs
    them itself, once.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take a qint8 weight (O, I) and a float32 bias (O,)."""
        super().__init__()
        self.weight, self.bias = weight, None if bias is None else bias.detach()
        self._packed = self._pack()

    def _pack(self) -> Any:
        return torch.ops.quantized.linear_prepack(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        packed = self._pack() if torch.jit.is_tracing() else self._packed  # type: ignore[attr-defined,no-untyped-call]
        product: Tensor = torch.ops.quantized.linear_dynamic(x, packed, True)
        return product


def quantized(model: PointATA) -> PointATA:
    """A copy whose wide linear layers multiply int8 by int8 (dynamic quantisation, weights per output channel).

    Raises:
        RuntimeError: this build of torch has no kernels for it.
    """
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name.endswith(_WIDE)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its end to come: its successor has no faster kernels for a CPU yet
        copy: PointATA = quantize_dynamic(  # type: ignore[no-untyped-call]
            model, dict.fromkeys(names, per_channel_dynamic_qconfig), dtype=torch.qint8
        )
    for name in names:
        place, _, last = name.rpartition(".")
        layer: Any = copy.get_submodule(name)
        setattr(copy.get_submodule(place), last, Int8Linear(layer.weight(), layer.bias()))
    return copy.eval()
