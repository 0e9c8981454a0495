"""The file that stage 1 leaves for stage 2: an aligned embedder, and what it was made from (safetensors, no pickle)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pointata.bundles.adapter_metadata import EMBEDDER
from pointata.bundles.format import read_header, read_tensors, stored, write
from pointata.errors import BundleError
from pointata.model.pointata import PointATA
from pointata.model.trainable import backbone_state, checksum

_PREFIX = "embedder."


def backbone_checksum(model: PointATA) -> str:
    """Checksum of the network's backbone as a bundle stores it."""
    return checksum(stored(backbone_state(model)))


def _embedder(model: PointATA) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if name.startswith(_PREFIX)}


def _network(model: PointATA) -> dict[str, Any]:
    config = model.config.to_dict()
    return {name: config[name] for name in EMBEDDER}


def save_aligned(path: Path, model: PointATA, metadata: Mapping[str, Any]) -> None:
    """Write the network's embedder (float32), the backbone it belongs to, and readable metadata.

    Args:
        path: of the file; its folder is made where it does not exist.
        model: the network.
        metadata: plain data for people: settings, figures, data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "backbone_checksum": backbone_checksum(model),
        "network": _network(model),
        "metadata": dict(metadata),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in _embedder(model).items()}
    write(path, "align", tensors, content)


def aligned_network(path: Path) -> Mapping[str, Any]:
    """The network that the file of an aligned embedder states: "groups", "group_size", "height" and the like.

    Raises:
        BundleError: the file is missing, damaged or of another kind.
    """
    network: Mapping[str, Any] = _header(path)["network"]
    return network


def _header(path: Path) -> dict[str, Any]:
    header = read_header(path)
    if header["kind"] != "align":
        raise BundleError(
            f"{path} is of kind {header['kind']}, not an aligned embedder: give what `pointata align` wrote"
        )
    return header


def load_aligned(path: Path, model: PointATA) -> dict[str, Any]:
    """Give a network the embedder of a file; returns the file's metadata.

    Raises:
        BundleError: the file is missing, damaged or of another kind, or belongs to another backbone or architecture.
    """
    header = _header(path)
    network = _network(model)
    differing = [name for name in EMBEDDER if header["network"][name] != network[name]]
    if differing:
        name = differing[0]
        raise BundleError(
            f"{path} was aligned with {name} {header['network'][name]}, but the network has {network[name]}: "
            "use the same settings, or align again"
        )
    if header["backbone_checksum"] != backbone_checksum(model):
        raise BundleError(
            f"{path} was aligned for backbone {header['metadata'].get('backbone')!r} (checksum "
            f"{header['backbone_checksum']}), but the network's has checksum {backbone_checksum(model)}: "
            "use that backbone, or align again"
        )
    model.load_state_dict(read_tensors(path, header, _embedder(model)), strict=False)
    metadata: dict[str, Any] = header["metadata"]
    return metadata
