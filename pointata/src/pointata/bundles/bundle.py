"""Bundles: weights with everything needed to use them.

A backbone bundle holds the frozen 3D network; an adapter bundle the trained rest, and names the backbone it fits.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointata.bundles.format import read_header, read_tensors, resolve, shipped_bundles, stored, write
from pointata.bundles.metadata import BundleMetadata, backbone_config
from pointata.errors import BundleError, ConfigError
from pointata.model.backbone import Backbone
from pointata.model.config import BackboneConfig
from pointata.model.pointata import PointATA
from pointata.model.trainable import adapter_state, backbone_state, checksum, is_adapter
from pointata.paths import check_output_folder

__all__ = [
    "BundleMetadata",
    "check_bundle_output",
    "describe",
    "load_backbone",
    "load_bundle",
    "read_backbone",
    "read_metadata",
    "resolve",
    "rewrite_adapter",
    "save_backbone",
    "save_bundle",
    "shipped_bundles",
    "state_score",
]

_log = logging.getLogger(__name__)


def save_bundle(folder: Path, model: PointATA, metadata: BundleMetadata, replace_backbone: bool = False) -> Path:
    """Write `<name>.safetensors` (adapter) and, unless it exists unchanged, `<backbone>.safetensors` into a folder.

    Weights are stored as float16; the backbone's checksum is taken of what is stored.

    Args:
        folder: made where it does not exist.
        model: the network.
        metadata: what the adapter bundle says of itself.
        replace_backbone: overwrite another backbone of that name; adapters that belong to it are refused from then on.

    Raises:
        BundleError: the folder already has a different backbone of that name, and it is not to be replaced.
    """
    check_output_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    backbone = stored(backbone_state(model))
    fingerprint = checksum(backbone)
    backbone_path = folder / f"{metadata.backbone}.safetensors"
    if replace_backbone or not backbone_path.exists():
        origin = {"simulated": metadata.simulated, "data_licence": metadata.data_licence} if replace_backbone else {}
        _write_backbone(backbone_path, backbone, metadata.network.backbone, {}, origin)
    else:
        _require_same_backbone(backbone_path, fingerprint)
    path = folder / f"{metadata.name}.safetensors"
    _write_adapter(path, stored(adapter_state(model)), metadata, fingerprint)
    return path


def check_bundle_output(folder: Path, model: PointATA, metadata: BundleMetadata, replace_backbone: bool) -> None:
    """Refuse what `save_bundle` with these arguments would stumble over; before a training, its end is saved.

    Raises:
        ConfigError: the folder cannot be made or written to.
        BundleError: it already has a different backbone of that name, and it is not to be replaced.
    """
    check_output_folder(folder)
    path = folder / f"{metadata.backbone}.safetensors"
    if not replace_backbone and path.exists():
        _require_same_backbone(path, checksum(stored(backbone_state(model))))


def _require_same_backbone(path: Path, fingerprint: str) -> None:
    header = read_header(path)
    if header["kind"] != "backbone" or header["checksum"] != fingerprint:
        raise BundleError(f"{path} holds another backbone: write to another folder, or remove the file")


def _write_adapter(path: Path, state: Mapping[str, Tensor], metadata: BundleMetadata, backbone_checksum: str) -> None:
    write(path, "adapter", state, {"metadata": metadata.to_dict(), "backbone_checksum": backbone_checksum})


def save_backbone(
    folder: Path, name: str, backbone: Backbone, training: Mapping[str, Any], origin: Mapping[str, Any] = {}
) -> Path:
    """Write a backbone by itself, as `<name>.safetensors`, into a folder; a file of that name is replaced.

    Args:
        folder: made where it does not exist.
        name: of the bundle.
        backbone: the network; stored as float16.
        training: data, objective and duration of its training, or where it comes from.
        origin: `simulated`, `licence` and `data_licence` as in `BundleMetadata`, where they are known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = stored({f"backbone.{key}": value for key, value in backbone.state_dict().items()})
    path = folder / f"{name}.safetensors"
    _write_backbone(path, state, backbone.config, training, origin)
    return path


def _write_backbone(
    path: Path,
    state: Mapping[str, Tensor],
    config: BackboneConfig,
    training: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> None:
    content = {"name": path.stem, "network": asdict(config), "training": dict(training), **origin}
    write(path, "backbone", state, content)


def state_score(path: Path, score: Mapping[str, float], sources: Sequence[str]) -> None:
    """Write a measured score, and on what it was measured, into an adapter bundle; its weights stay as they are.

    Raises:
        BundleError: the file is not an adapter bundle, or damaged.
    """
    header, metadata = _read_adapter(path)
    expected = {name: value for name, value in _blank(metadata).state_dict().items() if is_adapter(name)}
    state = read_tensors(path, header, expected)
    metadata = replace(metadata, score=dict(score), scored_on=tuple(sources))
    _write_adapter(path, state, metadata, header["backbone_checksum"])


def rewrite_adapter(
    path: Path, model: PointATA, training: Mapping[str, Any] = {}, simulated: bool = True, data_licence: str = ""
) -> None:
    """Replace the weights of an adapter bundle by the model's; its stated score no longer holds and is taken out.

    Args:
        path: of the bundle.
        model: the network.
        training: what is added to the bundle's account of its training.
        simulated: whether the data of this training are simulated; the bundle stays so where they are.
        data_licence: of the data of this training; stated beside that of the earlier ones.

    Raises:
        BundleError: the file is not an adapter bundle, or the model's backbone is not the one it belongs to.
    """
    header, metadata = _read_adapter(path)
    if checksum(stored(backbone_state(model))) != header["backbone_checksum"]:
        raise BundleError(f"{path} belongs to another backbone than the model's: save the model as a new bundle")
    metadata = replace(
        metadata,
        training={**metadata.training, **training},
        score={},
        scored_on=(),
        simulated=metadata.simulated and simulated,
        data_licence="; ".join(dict.fromkeys(text for text in (metadata.data_licence, data_licence) if text)),
    )
    _write_adapter(path, stored(adapter_state(model)), metadata, header["backbone_checksum"])


def load_backbone(name: str, beside: Path | None = None) -> tuple[BackboneConfig, dict[str, Tensor]]:
    """Architecture and float16 tensors (named as in `PointATA`) of a backbone bundle, given by name or path.

    Raises:
        BundleError: missing, damaged, or of another kind; its weights do not match its checksum.
    """
    path = resolve(name, beside)
    header, config = _read_backbone(path)
    with torch.device("meta"):
        expected = {f"backbone.{key}": value for key, value in Backbone(config).state_dict().items()}
    return config, read_tensors(path, header, expected)


def read_backbone(name: str) -> Backbone:
    """The network of a backbone bundle, given by name or path; see `load_backbone` for the errors."""
    config, state = load_backbone(name)
    backbone = Backbone(config)
    backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items()})
    return backbone


def read_metadata(name: str) -> BundleMetadata:
    """What an adapter bundle, given by name or path, says of itself."""
    return _read_adapter(resolve(name))[1]


def describe(name: str) -> dict[str, Any]:
    """What a bundle of any kind (adapter, backbone, aligned embedder), given by name or path, says of itself."""
    path = resolve(name)
    header = read_header(path)
    if header["kind"] == "adapter":
        return {"kind": "adapter", **_read_adapter(path)[1].to_dict()}
    return header


def _read_adapter(path: Path) -> tuple[dict[str, Any], BundleMetadata]:
    header = read_header(path)
    if header["kind"] != "adapter":
        raise BundleError(f"{path} is of the kind {header['kind']!r}: as model give an adapter bundle")
    try:
        return header, BundleMetadata.from_dict(header["metadata"])
    except ConfigError as error:
        raise BundleError(f"{path} cannot be used: {error}. Train or copy it again") from error


def _read_backbone(path: Path) -> tuple[dict[str, Any], BackboneConfig]:
    header = read_header(path)
    if header["kind"] != "backbone":
        raise BundleError(f"{path} is of the kind {header['kind']!r}, but a backbone is needed")
    try:
        return header, backbone_config(header["network"])
    except ConfigError as error:
        raise BundleError(f"{path} cannot be used: {error}. Train or copy it again") from error


def _blank(metadata: BundleMetadata) -> PointATA:
    """The network of a bundle without weights: names and shapes, no memory."""
    with torch.device("meta"):
        return PointATA(metadata.network)


def load_bundle(name: str, backbone: str | None = None) -> tuple[PointATA, BundleMetadata]:
    """Build the network of an adapter bundle, in eval mode, float32, on the CPU.

    Nothing of what a file says is believed before its tensors have the shapes that follow from it: until then no memory
    is taken.

    Args:
        name: path, or name of a shipped bundle.
        backbone: path or name of the backbone bundle; None for the one it names, beside it or shipped.

    Raises:
        BundleError: a file is missing or damaged, or the two do not belong together.
    """
    path = resolve(name)
    header, metadata = _read_adapter(path)
    spine = resolve(backbone or metadata.backbone, path.parent)
    spine_header, config = _read_backbone(spine)
    if config != metadata.network.backbone or spine_header["checksum"] != header["backbone_checksum"]:
        raise BundleError(
            f"{path} was trained on backbone {metadata.backbone!r} (checksum {header['backbone_checksum']}), but "
            f"{backbone or metadata.backbone!r} has checksum {spine_header['checksum']}: use the one it was trained on"
        )
    model = _blank(metadata)
    expected = model.state_dict()
    state: dict[str, Tensor] = {}
    for file, its_header, adapter in ((path, header, True), (spine, spine_header, False)):
        state |= read_tensors(file, its_header, {n: v for n, v in expected.items() if is_adapter(n) == adapter})
    floats = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    model.load_state_dict(floats, assign=True)
    if metadata.simulated:
        _log.warning(
            "bundle %s was trained on simulated data only: its labels on real recordings are not to be relied on",
            metadata.name,
        )
    return model.eval(), metadata
