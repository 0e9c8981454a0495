"""Backbone bundles: the frozen 3D network alone."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointata.bundles.adapter_metadata import backbone_config
from pointata.bundles.catalogue import resolve
from pointata.bundles.format import read_header, read_tensors, stored, write
from pointata.errors import BundleError, ConfigError
from pointata.model.backbone import Backbone
from pointata.model.config import BackboneConfig


def save_backbone(
    folder: Path, name: str, backbone: Backbone, training: Mapping[str, Any], origin: Mapping[str, Any] = {}
) -> Path:
    """Write a backbone alone, as `<name>.safetensors`, into a folder; a file of that name is replaced.

    Args:
        folder: made where it does not exist.
        name: of the bundle.
        backbone: the network; stored as float16.
        training: data, objective and duration of its training, or where it comes from.
        origin: `simulated`, `licence` and `data_licence` as in `AdapterMetadata`, where they are known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = stored({f"backbone.{key}": value for key, value in backbone.state_dict().items()})
    path = folder / f"{name}.safetensors"
    write_backbone(path, state, backbone.config, training, origin)
    return path


def write_backbone(
    path: Path,
    state: Mapping[str, Tensor],
    config: BackboneConfig,
    training: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> None:
    """Write what is stored of a backbone, under the names it has in `PointATA`; arguments as `save_backbone`'s."""
    content = {"name": path.stem, "network": asdict(config), "training": dict(training), **origin}
    write(path, "backbone", state, content)


def load_backbone(name: str, beside: Path | None = None) -> tuple[BackboneConfig, dict[str, Tensor]]:
    """Architecture and float16 tensors (named as in `PointATA`) of a backbone bundle, given by name or path.

    Raises:
        BundleError: missing, damaged, or of another kind; its weights do not match its checksum.
    """
    path = resolve(name, beside)
    header, config = read_backbone_header(path)
    with torch.device("meta"):
        expected = {f"backbone.{key}": value for key, value in Backbone(config).state_dict().items()}
    return config, read_tensors(path, header, expected)


def read_backbone(name: str) -> Backbone:
    """The network of a backbone bundle, given by name or path; see `load_backbone` for the errors."""
    config, state = load_backbone(name)
    backbone = Backbone(config)
    backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in state.items()})
    return backbone


def read_backbone_header(path: Path) -> tuple[dict[str, Any], BackboneConfig]:
    """The header of a backbone bundle, and its architecture.

    Raises:
        BundleError: the file is not a backbone bundle, or damaged.
    """
    header = read_header(path)
    if header["kind"] != "backbone":
        raise BundleError(f"{path} is of the kind {header['kind']!r}, but a backbone is needed")
    try:
        return header, backbone_config(header["network"])
    except ConfigError as error:
        raise BundleError(f"{path} cannot be used: {error}. Train or copy it again") from error


def require_same_backbone(path: Path, fingerprint: str) -> None:
    """Refuse a file that is not the backbone of that checksum."""
    header = read_header(path)
    if header["kind"] != "backbone" or header["checksum"] != fingerprint:
        raise BundleError(f"{path} already holds another backbone: write to another folder, or remove the file")
