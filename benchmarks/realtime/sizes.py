"""What a stream's past and a network take."""

from collections.abc import Sequence
from typing import Any

from pointata.inference.predictor import Predictor
from pointata.model.trainable import is_adapter
from realtime.networks import config, metadata, random_network


def measure_sizes(presets: Sequence[str]) -> dict[str, Any]:
    """Results by key: state_kib and parameters (all of them, and those of the adapter bundle), each by preset."""
    result: dict[str, Any] = {"state_kib": {}, "parameters": {}}
    for name in presets:
        network = config(name)
        model = random_network(network)
        result["state_kib"][name] = Predictor(model, metadata(network), device="cpu").state_kib
        result["parameters"][name] = {
            "total": sum(p.numel() for p in model.parameters()),
            "adapter": sum(p.numel() for key, p in model.named_parameters() if is_adapter(key)),
        }
    return result
