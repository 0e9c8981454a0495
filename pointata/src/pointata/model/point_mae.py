"""Import of official Point-MAE checkpoints: their encoder is our `base` backbone under other names."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import safe_globals

from pointata.errors import BundleError
from pointata.model.backbone import Backbone
from pointata.model.config import BACKBONES

_PRETRAINED = "MAE_encoder."
#: What a pre-training checkpoint holds besides the encoder, and what a fine-tuned one does: known, and not needed.
_DECODER = ("mask_token", "decoder_pos_embed.", "MAE_decoder.", "increase_dim.")
_CLASSIFIER = ("cls_token", "cls_pos", "cls_head_finetune.")
#: Our modules and theirs; a block's own are below.
_MODULES = {
    "tokenizer.first_in": "encoder.first_conv.0",
    "tokenizer.first_norm": "encoder.first_conv.1",
    "tokenizer.first_out": "encoder.first_conv.3",
    "tokenizer.second_in": "encoder.second_conv.0",
    "tokenizer.second_norm": "encoder.second_conv.1",
    "tokenizer.second_out": "encoder.second_conv.3",
    "position.0": "pos_embed.0",
    "position.2": "pos_embed.2",
    "norm": "norm",
}
_IN_BLOCK = {
    "norm1": "norm1",
    "attn.qkv": "attn.qkv",
    "attn.proj": "attn.proj",
    "norm2": "norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
# The accuracies beside the weights are numpy numbers, under the module names of numpy 1 and 2.
_NUMBERS: list[Any] = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)},
]


def official_name(name: str) -> str:
    """The name in a fine-tuned Point-MAE checkpoint of a tensor of `Backbone`."""
    module, _, leaf = name.rpartition(".")
    if module in _MODULES:
        return f"{_MODULES[module]}.{leaf}"
    _, number, inner = module.split(".", 2)
    return f"blocks.blocks.{number}.{_IN_BLOCK[inner]}.{leaf}"


def import_checkpoint(path: Path) -> Backbone:
    """Read an official checkpoint (pre-training or fine-tuned) into a `base` backbone, in eval mode.

    Raises:
        BundleError: no such file; not loadable without running code of its own; a name that is missing or unknown; a
            shape that differs.
    """
    given = _encoder_state(path)
    backbone = Backbone(BACKBONES["base"])
    state = {}
    for name, value in backbone.state_dict().items():
        official = official_name(name)
        if official not in given:
            raise BundleError(f"{path} lacks {official}: it is not a checkpoint of Point-MAE's encoder, or incomplete")
        found = given.pop(official)
        kernel = value.dim() == 2 and official.startswith("encoder.")  # a 1 x 1 convolution stands for a linear layer
        wanted = (*value.shape, 1) if kernel else tuple(value.shape)
        if tuple(found.shape) != wanted:
            raise BundleError(f"{path}: {official} has the shape {tuple(found.shape)}, Point-MAE's has {wanted}")
        state[name] = found.reshape(value.shape)
    if given:
        raise BundleError(f"{path} holds {min(given)}, which Point-MAE's encoder does not have: it is another network")
    backbone.load_state_dict(state)
    return backbone.eval()


def _encoder_state(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint but those that are known not to be needed; without prefixes."""
    content = _load(path)
    state = content.get("base_model") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BundleError(f"{path} holds no state dict named base_model: it is not a checkpoint of Point-MAE")
    named = {str(name).removeprefix("module."): value for name, value in state.items()}
    pretrained = any(name.startswith(_PRETRAINED) for name in named)
    needless = _DECODER if pretrained else _CLASSIFIER
    kept = {name: value for name, value in named.items() if not name.startswith(needless)}
    if not pretrained:
        return kept
    strangers = [name for name in kept if not name.startswith(_PRETRAINED)]
    if strangers:
        raise BundleError(f"{path} holds {min(strangers)}, which Point-MAE does not have: it is another network")
    return {name.removeprefix(_PRETRAINED): value for name, value in kept.items()}


def _load(path: Path) -> Any:
    if not path.is_file():
        raise BundleError(f"there is no file {path}: give a checkpoint (.pth) of Point-MAE")
    try:
        with safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise BundleError(
            f"{path} is not loaded: it is damaged, or holds more than tensors and numbers and could run code ({reason})"
        ) from error
    except Exception as error:  # bytes that are not a checkpoint lead torch's readers to errors of any kind
        raise BundleError(f"{path} cannot be read as a PyTorch checkpoint ({error}): download it again") from error
