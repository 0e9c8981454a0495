"""Matrix products in 8-bit integers on a CPU: weights once, activations as they come."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from pointata.model.streaming import StreamingNetwork

# Its successor, torchao, was measured: see docs/performance.md.
_DEPRECATED = r"torch\.ao\.quantization is deprecated|torch\.quantize_per_tensor, "


class Int8Linear(nn.Module):
    """int8 by int8: activations are quantised as they come, as a whole.

    Torch's own layer cannot be recorded in a graph, as its packed weights are not a tensor. Here a recording packs them
    itself, once.
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


def quantized(network: StreamingNetwork) -> StreamingNetwork:
    """A copy whose quantisable layers multiply int8 by int8 (dynamic quantisation, weights per output channel).

    Raises:
        RuntimeError: this build of torch has no kernels for it.
    """
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    names = network.quantizable_layers()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _DEPRECATED)
        copy: StreamingNetwork = quantize_dynamic(  # type: ignore[no-untyped-call]
            network, dict.fromkeys(names, per_channel_dynamic_qconfig), dtype=torch.qint8
        )
    for name in names:
        place, _, last = name.rpartition(".")
        layer: Any = copy.get_submodule(name)
        setattr(copy.get_submodule(place), last, Int8Linear(layer.weight(), layer.bias()))
    return copy.eval()
