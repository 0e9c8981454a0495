"""The file format of bundles: safetensors (never pickle) with a readable header and a checksum of the tensors."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pointata.bundles.headers import HEADERS
from pointata.bundles.metadata import Metadata
from pointata.bundles.schema import shown
from pointata.errors import BundleError, ConfigError
from pointata.model.trainable import checksum

#: 1 had no checksum of adapters and aligned embedders.
_FORMAT, _FORMATS = 2, (1, 2)
_LARGEST_HEADER = 2**20
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64}
_log = logging.getLogger(__name__)


def stored(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a bundle holds them: float16 on the CPU."""
    return {
        # what the heads normalise with stays float32: variances of displacements are too small for float16
        name: (value.half() if value.is_floating_point() and not _is_head_statistic(name) else value).cpu().contiguous()
        for name, value in state.items()
    }


def _is_head_statistic(name: str) -> bool:
    return name.startswith("heads.") and ".running_" in name


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
    """Write a file of this format, whole or not at all; `read_header` gives back `content`, the kind and the checksum.

    Raises:
        ConfigError: the content is not what a header of this kind may hold.
    """
    content = {**content, "checksum": checksum(dict(tensors))}
    HEADERS[kind](content, "")
    header = {"pointata": json.dumps({"format": _FORMAT, "kind": kind, **content})}
    temporary = path.with_suffix(".partial")
    save_file(dict(tensors), temporary, metadata=header)
    temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    temporary.replace(path)  # an interrupted save leaves the old bundle whole


def read_header(path: Path) -> dict[str, Any]:
    """The readable part of a bundle, checked field by field, without its weights.

    Raises:
        BundleError: the file cannot be read, is not a bundle, or its metadata are wrong.
    """
    try:
        _require_small_header(path)
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("pointata", "null"))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as a bundle ({error}): copy or train it again") from error
    if not isinstance(header, dict) or "kind" not in header:
        raise BundleError(f"{path} is a safetensors file, but not a pointata bundle: it lacks the pointata header")
    given, kind = header.pop("format", None), header.pop("kind")
    if type(given) is not int or given not in _FORMATS:
        known = " and ".join(map(str, _FORMATS))
        raise BundleError(f"{path} has bundle format {shown(given)}, this version reads {known}: update pointata")
    if not isinstance(kind, str) or kind not in HEADERS:
        raise BundleError(f"{path} is of the unknown kind {shown(kind)}: update pointata")
    try:
        content = HEADERS[kind](header, "")
    except ConfigError as error:
        raise BundleError(f"{path} cannot be used: {error}. Train or copy it again") from error
    if given > 1 and "checksum" not in content:
        raise BundleError(f"{path} cannot be used: it lacks the checksum of its weights. Train or copy it again")
    return {"kind": kind, **content}


def read_network_header(path: Path, kind: str, metadata: type[Metadata]) -> tuple[dict[str, Any], Metadata]:
    """The header of a bundle that holds a network of some kind, and its metadata.

    Raises:
        BundleError: the file cannot be read, is of another kind, or what it says contradicts itself.
    """
    header = read_header(path)
    if header["kind"] != kind:
        raise BundleError(f"{path} is of the kind {header['kind']!r}: as model give an {kind} bundle")
    try:
        return header, metadata.from_dict(header["metadata"])
    except ConfigError as error:
        raise BundleError(f"{path} cannot be used: {error}. Train or copy it again") from error


def _require_small_header(path: Path) -> None:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > _LARGEST_HEADER:
        raise ValueError(f"a header of {size} bytes, at most {_LARGEST_HEADER} are allowed")


def read_tensors(path: Path, header: Mapping[str, Any], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a bundle, in memory of their own; none is read before all names, shapes and types are right.

    Args:
        path: of the file.
        header: of the file, as `read_header` gives it.
        expected: tensors of those names and shapes, on any device, "meta" as well.

    Raises:
        BundleError: the file holds other tensors, its checksum is not theirs, or a weight is not finite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            _require_same(path, {n: (tuple(s.get_shape()), s.get_dtype()) for n, s in found.items()}, expected)
            state = {name: file.get_tensor(name).clone() for name in found}  # a copy: the file may be replaced
    except (SafetensorError, OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as a bundle ({error}): copy or train it again") from error
    if "checksum" not in header:
        _log.warning("%s is of an earlier file format without a checksum: damage to its weights may go unseen", path)
    elif checksum(state) != header["checksum"]:
        raise BundleError(f"{path} is damaged: its weights do not match its checksum; copy it again")
    for name, value in state.items():
        if not value.isfinite().all():
            raise BundleError(f"{path} is damaged, or its training diverged: {name} is not finite; copy or train it")
    return state


def _require_same(path: Path, found: Mapping[str, tuple[tuple[int, ...], str]], expected: Mapping[str, Tensor]) -> None:
    for name in sorted(found.keys() | expected.keys()):
        if name not in found or name not in expected:
            problem = f"it {'lacks' if name in expected else 'has no place for'} {shown(name)}"
        elif found[name][0] != tuple(expected[name].shape):
            problem = f"{name} has the shape {found[name][0]}, not {tuple(expected[name].shape)}"
        elif found[name][1] not in _DTYPES:
            problem = f"{name} is stored as {found[name][1]}, not as one of {', '.join(_DTYPES)}"
        elif _DTYPES[found[name][1]].is_floating_point != expected[name].is_floating_point():
            problem = f"{name} is stored as {found[name][1]}, which is not its kind of number"
        else:
            continue
        raise BundleError(f"{path} does not fit its own architecture: {problem}; train or copy it again")
