"""Matrix products in 8-bit integers on a CPU: weights once, activations as they come."""

import warnings

import torch
from torch import nn

from pointata.model.pointata import PointATA

# What makes most of a step: attention and MLPs of the blocks, the wide layers of the tokenizer and the point head.
_WIDE = ("qkv", "proj", "mlp.0", "mlp.2", "point_net.second_out")


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
    return copy.eval()
