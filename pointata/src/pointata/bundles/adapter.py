"""PointATA's kind of bundle: an adapter bundle holds the trained rest, and names the backbone bundle that it fits."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointata.bundles.adapter_metadata import AdapterMetadata
from pointata.bundles.backbone import read_backbone_header, require_same_backbone, write_backbone
from pointata.bundles.catalogue import resolve
from pointata.bundles.format import read_network_header, read_tensors, stored, write
from pointata.errors import BundleError
from pointata.model.pointata import PointATA
from pointata.model.trainable import adapter_state, backbone_state, checksum, is_adapter
from pointata.paths import check_not_input, check_output_folder


def save_bundle(folder: Path, model: PointATA, metadata: AdapterMetadata, replace_backbone: bool = False) -> Path:
    """Write `<name>.safetensors` (adapter) and, unless it exists unchanged, `<backbone>.safetensors` into a folder.

    Weights are stored as float16; the backbone's checksum is taken of what is stored.

    Args:
        folder: made where it does not exist.
        model: the network.
        metadata: those of the adapter bundle.
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
        write_backbone(backbone_path, backbone, metadata.network.backbone, {}, origin)
    else:
        require_same_backbone(backbone_path, fingerprint)
    path = folder / f"{metadata.name}.safetensors"
    _write_adapter(path, stored(adapter_state(model)), metadata, fingerprint)
    return path


def check_bundle_output(
    folder: Path, model: PointATA, metadata: AdapterMetadata, replace_backbone: bool, made_from: Sequence[Path]
) -> None:
    """Refuse what `save_bundle` with these arguments would stumble over; before a training, its end is saved.

    Raises:
        ConfigError: the folder cannot be made or written to, or a file that the bundle is made from would be replaced.
        BundleError: it already has a different backbone of that name, and it is not to be replaced.
    """
    check_output_folder(folder)
    path = folder / f"{metadata.backbone}.safetensors"
    for written in (folder / f"{metadata.name}.safetensors", *([path] if replace_backbone else [])):
        for given in made_from:
            check_not_input(written, given)
    if not replace_backbone and path.exists():
        require_same_backbone(path, checksum(stored(backbone_state(model))))


def _write_adapter(path: Path, state: Mapping[str, Tensor], metadata: AdapterMetadata, backbone_checksum: str) -> None:
    write(path, "adapter", state, {"metadata": metadata.to_dict(), "backbone_checksum": backbone_checksum})


def state_score(
    path: Path, folder: Path, score: Mapping[str, float], sources: Sequence[str], backbone: str | None = None
) -> Path:
    """Copy an adapter bundle, and its backbone, into another folder; the copy states a score, its weights are the same.

    Args:
        path: of the bundle.
        folder: made where it does not exist.
        score: figures by name.
        sources: what they were measured on.
        backbone: path or name of the backbone bundle; None for the one it names, beside it or shipped.

    Raises:
        BundleError: the file is not an adapter bundle, or damaged, or the folder has another backbone of that name.
        ConfigError: the folder is the bundle's own, or cannot be written to.
    """
    check_score_output(path, folder)
    header, metadata = _read_adapter(path)
    expected = {name: value for name, value in _blank(metadata).state_dict().items() if is_adapter(name)}
    state = read_tensors(path, header, expected)
    beside = folder / f"{metadata.backbone}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    if not beside.exists():
        partial = beside.with_suffix(".partial")
        shutil.copyfile(resolve(backbone or metadata.backbone, path.parent), partial)
        partial.replace(beside)  # an interrupted copy is not a bundle
    require_same_backbone(beside, header["backbone_checksum"])
    metadata = replace(metadata, score=dict(score), scored_on=tuple(sources))
    _write_adapter(folder / path.name, state, metadata, header["backbone_checksum"])
    return folder / path.name


def check_score_output(path: Path, folder: Path) -> None:
    """Refuse what `state_score` would stumble over, before anything is measured; errors as of `state_score`."""
    check_not_input(folder / path.name, path)
    check_output_folder(folder)
    header, metadata = _read_adapter(path)
    beside = folder / f"{metadata.backbone}.safetensors"
    if beside.exists():
        require_same_backbone(beside, header["backbone_checksum"])


def build_network(
    path: Path, header: Mapping[str, Any], metadata: AdapterMetadata, backbone: str | None = None
) -> PointATA:
    """Build the network of an adapter bundle, in eval mode, float32, on the CPU.

    No claim of a file is trusted before its tensors have the shapes that follow from it: until then no memory
    is taken.

    Args:
        path: of the adapter bundle.
        header: of the file.
        metadata: of the header.
        backbone: path or name of the backbone bundle; None for the one it names, beside it or shipped.

    Raises:
        BundleError: a file is missing or damaged, or the two do not belong together.
    """
    backbone_path = resolve(backbone or metadata.backbone, path.parent)
    backbone_header, config = read_backbone_header(backbone_path)
    if config != metadata.network.backbone or backbone_header["checksum"] != header["backbone_checksum"]:
        raise BundleError(
            f"{path} was trained on backbone {metadata.backbone!r} (checksum {header['backbone_checksum']}), but "
            f"{backbone or metadata.backbone!r} has checksum {backbone_header['checksum']}: "
            "use the one it was trained on"
        )
    model = _blank(metadata)
    expected = model.state_dict()
    state: dict[str, Tensor] = {}
    for file, its_header, adapter in ((path, header, True), (backbone_path, backbone_header, False)):
        state |= read_tensors(file, its_header, {n: v for n, v in expected.items() if is_adapter(n) == adapter})
    floats = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    model.load_state_dict(floats, assign=True)
    return model.eval()


def _read_adapter(path: Path) -> tuple[dict[str, Any], AdapterMetadata]:
    return read_network_header(path, "adapter", AdapterMetadata)


def _blank(metadata: AdapterMetadata) -> PointATA:
    """The network of a bundle without weights: names and shapes, no memory."""
    with torch.device("meta"):
        return PointATA(metadata.network)
